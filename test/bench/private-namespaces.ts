import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readCgroupMounts } from '../../services/namespace/cgroup-mounts.ts'
import { CannotRun } from './launcher.ts'

/** The v2 tree beside v1 ones: crun refuses to work when a controller is in it. */
const hybridTree = (): string | undefined => {
  const mounts = readCgroupMounts()
  const unified = mounts.find(({ fsType }) => fsType === 'cgroup2')
  return mounts.some(({ fsType }) => fsType === 'cgroup') ? unified?.mountPoint : undefined
}

/**
 * Namespaces for a peer: it makes its bridge, its firewall rules and its mounts there as it does on any
 * host, and this host's own stay as they are. It sees no v2 cgroups beside v1 ones.
 */
export const privateNamespaces = async ({ network }: { network: boolean }) => {
  const tree = hybridTree()
  const steps = [
    ...(network ? ['ip link set lo up'] : []),
    ...(tree ? [`umount "${tree}"`] : []),
    'echo ready',
    'cat',
  ]
  const options = ['--mount', ...(network ? ['--net'] : [])]
  const holder = spawn('unshare', [...options, 'sh', '-c', steps.join(' && ')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')])) as [unknown]
  if (!String(said).includes('ready')) throw new CannotRun('namespaces for it cannot be made')
  const namespace = `/proc/${holder.pid}/ns`
  return {
    /** What a command line begins with to run in there: a process more, or a millisecond. */
    enter: ['nsenter', `--mount=${namespace}/mnt`, ...(network ? [`--net=${namespace}/net`] : [])],
    [Symbol.asyncDispose]: async () => {
      const ended = once(holder, 'exit')
      holder.stdin.end()
      await ended
    },
  }
}
