import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container } from '../../../shared/contracts/container.ts'
import { errnoOf, reasonOf } from '../../../shared/failure.ts'
import type { Session } from '../commands/bus/session.ts'
import { execInside } from './exec-inside.ts'
import { showProof } from './screen.ts'

/** One statement of the lab and how the kernel is asked whether it holds. */
interface Proof {
  claim: string
  /** The command inside the container, or what is read on the host. */
  shown: string
  ask: () => Promise<string>
  holds: (output: string) => boolean
}

const outputOf = (container: Container, step: string, key: string): unknown =>
  container.steps[step]?.output?.[key]

const inside = (
  session: Session,
  { id }: Container,
  command: string,
  claim: string,
  holds: Proof['holds'],
): Proof => ({
  claim,
  shown: `dolly exec dolly ${command}`,
  ask: () => execInside(session, id, command.split(' ')),
  holds,
})

const limitFiles = ['cpu.cfs_period_us', 'cpu.cfs_quota_us', 'memory.limit_in_bytes', 'cpu.max', 'memory.max']

const readLimits = async (directories: readonly string[]): Promise<string> => {
  const files = directories.flatMap((directory) => limitFiles.map((file) => join(directory, file)))
  const lines = files.map(async (file) => {
    try {
      return [`${file}: ${(await readFile(file, 'utf8')).trim()}`]
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [] // another hierarchy's file
      throw error
    }
  })
  return (await Promise.all(lines)).flat().join('\n')
}

const ownNamespaces = ['mnt', 'uts', 'ipc', 'net', 'pid', 'user'] as const

const namespacesOf = async (pid: number | undefined): Promise<string> => {
  const lines = ownNamespaces.map(async (name) => {
    const [there, here] = await Promise.all(
      [`/proc/${pid}/ns/${name}`, `/proc/self/ns/${name}`].map((file) => readlink(file)),
    )
    return `${there}, the host's ${here}${there === here ? ' IS THE SAME' : ''}`
  })
  return (await Promise.all(lines)).join('\n')
}

/** The lab's own checks, for the container that the demo made. */
export const proofsOf = (session: Session, container: Container): Proof[] => {
  const prove = inside.bind(null, session, container)
  const directories = (outputOf(container, 'cgroup', 'cgroupDirectories') ?? []) as string[]
  const gateway = String(outputOf(container, 'network', 'gateway'))
  const address = String(outputOf(container, 'network', 'address'))
  const limit = (limits: string, name: string, value: number) =>
    new RegExp(`${name} +${value} +${value} `).test(limits)
  return [
    prove('hostname', 'it has its own host name', (name) => name.trim() === 'dolly'),
    prove('ps', 'its sh is process 1', (list) => /^ *1 .* sh$/m.test(list)),
    prove(
      'mount',
      'its root is a btrfs subvolume, with no trace of the old one',
      (mounts) =>
        new RegExp(`^/dev/\\S+ on / type btrfs .*subvol=/containers/${container.id}`, 'm').test(mounts) &&
        !mounts.includes('oldroot'),
    ),
    prove(
      'ip addr show eth0',
      'eth0 is up with its leased address',
      (link) => link.includes(`inet ${address}`) && /[<,]UP[,>]/.test(link),
    ),
    prove('ip route', 'the bridge is its default route', (routes) =>
      routes.includes(`default via ${gateway} dev eth0`),
    ),
    prove(`ping -c 1 -W 2 ${gateway}`, 'the gateway answers', (said) => said.includes(' 0% packet loss')),
    prove(
      'cat /proc/1/limits',
      'the kernel keeps its process limits',
      (limits) =>
        limit(limits, 'Max open files', 256) &&
        limit(limits, 'Max processes', 512) &&
        limit(limits, 'Max file locks', 32),
    ),
    {
      claim: 'the kernel keeps its cgroup limits',
      shown: 'read on the host',
      ask: () => readLimits(directories),
      holds: (files) =>
        /cfs_quota_us: 1000$|cpu\.max: 1000 100000$/m.test(files) &&
        /(limit_in_bytes|memory\.max): 536870912$/m.test(files),
    },
    prove('cat /proc/self/uid_map', 'its root is a user of the host that nobody else is', (map) =>
      /^ *0 +[1-9]\d* +65536$/m.test(map),
    ),
    {
      claim: 'six namespaces are its own',
      shown: `readlink /proc/${container.pid}/ns/*`,
      ask: () => namespacesOf(container.pid),
      holds: (lines) => lines.length > 0 && !lines.includes('IS THE SAME'),
    },
  ]
}

/** Shows each proof and answers how many do not hold. */
export const prove = async (proofs: readonly Proof[]): Promise<number> => {
  let broken = 0
  for (const { claim, shown, ask, holds } of proofs) {
    const output = await ask().catch((error: unknown) => `no answer: ${reasonOf(error)}`)
    const good = holds(output)
    if (!good) broken++
    showProof({ claim, shown, output, holds: good })
  }
  return broken
}
