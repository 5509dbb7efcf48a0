import { Failure, type FailureCode, reasonOf } from '../../../shared/failure.ts'

/** Commands that answer with a container's own exit code, so that Dolly's own failure needs another: 125. */
const borrowExitCode = new Set(['run', 'exec'])
const exitCodes: Partial<Record<FailureCode, number>> = {
  command_not_executable: 126,
  command_not_found: 127,
}

/** Raised by a command that has printed what it found and only has an exit code left to give. */
export class ExitCode extends Error {
  override readonly name = 'ExitCode'
  readonly code: number

  constructor(code: number) {
    super(`exit code ${code}`)
    this.code = code
  }
}

/** The exit code of a command that failed: Docker's 125, 126 and 127 where a container's own code could be meant, else 1. */
export const exitCodeOf = (action: string, error: unknown): number => {
  if (error instanceof ExitCode) return error.code
  if (!borrowExitCode.has(action)) return 1
  return (error instanceof Failure && exitCodes[error.code]) || 125
}

/** One line that says what could not be done and why, never a stack. */
export const failureLine = (action: string, error: unknown): string => {
  const reason = reasonOf(error)
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim()
  const sentence = /^(cannot|the|\d+ of) /.test(reason) ? reason : `cannot ${action}: ${reason}`
  return `dolly: ${error instanceof Failure ? sentence : `${sentence} (a bug in Dolly)`}`
}

/** Prints the failure on standard error and answers the exit code. */
export const reportFailure = (action: string, error: unknown): number => {
  if (!(error instanceof ExitCode)) process.stderr.write(`${failureLine(action, error)}\n`)
  if (process.env['DOLLY_LOG_LEVEL'] === 'debug') console.error(error)
  return exitCodeOf(action, error)
}

/** Does the same to each target and goes on past failures, as Docker does; exit code 1 if one failed. */
export const forEachTarget = async (
  action: string,
  targets: readonly string[],
  act: (target: string) => Promise<void>,
): Promise<void> => {
  let failed = false
  for (const target of targets) {
    try {
      await act(target)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      reportFailure(action, error)
      failed = true
    }
  }
  if (failed) throw new ExitCode(1)
}
