import { existsSync } from 'node:fs'
import type { ProcessState } from '../../shared/contracts/operations.ts'
import { readSpec } from './bundle.ts'
import { isFrozen } from './cgroup-state.ts'
import { exitOf } from './exit-status.ts'
import type { NamespaceHost } from './host.ts'
import { isAlive, isWaiting, readInit } from './process-identity.ts'

/** What the kernel and the bundle say of the container's init now. */
export const stateOf = (host: NamespaceHost, id: string): ProcessState => {
  const paths = host.paths(id)
  const init = readInit(paths.pid)
  const spec = readSpec(paths)
  if (!init || !spec) return { status: 'absent' }
  const { pid, startedAt } = init
  if (isAlive(init)) {
    // Between the start and execve it still runs the native program.
    const waits = !existsSync(paths.started) && isWaiting(init)
    return {
      status: waits ? 'created' : isFrozen(spec.cgroupDirectories) ? 'paused' : 'running',
      pid,
      startedAt,
    }
  }
  const exit = exitOf(host, id)
  return { status: 'stopped', pid, startedAt, ...exit }
}
