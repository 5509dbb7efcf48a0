import { createHash } from 'node:crypto'
import { join } from 'node:path'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** First `length` characters of a lower-case base-32 SHA-256: safe in file, interface and table names. */
export const shortHash = (text: string, length: number): string =>
  [...createHash('sha256').update(text).digest()]
    .slice(0, length)
    .map((byte) => alphabet[byte & 31])
    .join('')

/** Identifies a stack (root and node) on a host that may run several: part of every kernel object's name. */
export const stackTag = (root: string, node: string): string => shortHash(`${root}\0${node}`, 4)

/**
 * Every name that a stack gives to something outside its root, and every path inside it.
 * All of them derive from the stack and the container's id alone, so `undo` needs no memory.
 */
export const names = ({ root, tag }: { root: string; tag: string }) => ({
  /** Name of the bridge; 10 of the 15 characters an interface name may have (IFNAMSIZ). */
  bridge: `dolly-${tag}`,
  /** A bridge on a port of that one, and the two ends of the pair between them. */
  furtherBridge: (number: number) => `dolly-${tag}-${number}`,
  uplink: (number: number) => `du${tag}${number}`,
  uplinkPeer: (number: number) => `dp${tag}${number}`,
  nftTable: `dolly_${tag}`,
  /** Prefix of the host ends of veth pairs; the rest of the 15 characters is a hash of the container's id. */
  vethPrefix: `dv${tag}`,
  veth: (id: string) => `dv${tag}${shortHash(id, 9)}`,
  netnsPrefix: `dolly-${tag}-`,
  netns: (id: string) => `dolly-${tag}-${id}`,
  netnsPath: (id: string) => `/run/netns/dolly-${tag}-${id}`,
  /** Leases of id ranges, of every stack on the host: gone at a reboot, as the user namespaces are. */
  idLeases: '/run/dolly-ids',
  /** Parent of all containers' cgroups, in each hierarchy. */
  cgroupParent: `dolly-${tag}`,
  cgroup: (id: string) => `/dolly-${tag}/${id}`,
  /** Where monitors (conmon) live: never in a service's cgroup, or they would be stopped with it. */
  monitorCgroup: `/dolly-${tag}/.monitors`,

  image: join(root, 'cowfs.img'),
  cowfs: join(root, 'cowfs'),
  images: join(root, 'cowfs/images'),
  /** What is kept of images that were removed, for containers that were made of them. */
  removedImages: join(root, 'cowfs/removed'),
  tags: join(root, 'cowfs/tags'),
  containers: join(root, 'cowfs/containers'),
  rootfs: (id: string) => join(root, 'cowfs/containers', id),
  /** Roots that no container has yet. */
  readyRoots: join(root, 'cowfs/ready'),
  /** Tars that came over the bus, until they are images. */
  uploads: join(root, 'uploads'),
  volumes: join(root, 'cowfs/volumes'),
  volume: (name: string) => join(root, 'cowfs/volumes', name),
  /** One directory a container: plan, report, log, sockets. Named bundles as in the OCI runtime-spec. */
  bundles: join(root, 'bundles'),
  bundle: (id: string) => join(root, 'bundles', id),
  /** conmon writes one file with the exit status per container here. */
  exits: join(root, 'exits'),
  /** Compiled system call filters. */
  filters: join(root, 'seccomp'),
  networkState: join(root, 'network'),
  nats: join(root, 'nats'),
  logs: join(root, 'log'),
})

export type Names = ReturnType<typeof names>
