import type { Container } from '../../shared/contracts/container.ts'

/** Whether the restart policy wants this container, which has ended, to run again. */
export const wantsRestart = ({
  spec,
  exitCode,
  stoppedByUser,
  restarts = 0,
}: Pick<Container, 'spec' | 'exitCode' | 'stoppedByUser' | 'restarts'>): boolean => {
  if (stoppedByUser) return false
  const [policy, limit] = spec.restart.split(':')
  if (policy === 'always' || policy === 'unless-stopped') return true
  return policy === 'on-failure' && exitCode !== 0 && (limit === undefined || restarts < Number(limit))
}

/** Milliseconds until the next restart: 100 doubling to a minute, as Docker's. */
export const restartDelayMs = (restarts: number): number =>
  Math.min(60_000, 100 * 2 ** Math.min(restarts, 10))
