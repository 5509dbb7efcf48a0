import { getSystemErrorMap } from 'node:util'
import { Failure, type FailureCode } from '../../shared/failure.ts'
import type { Operation } from './operation.ts'
import { equivalentOf } from './equivalent.ts'

/** What the native program says of one operation. */
export interface Outcome {
  index: number
  errno: number
  nanoseconds: number
  detail: string
}

/** Reads a report: one line an operation, "index errno nanoseconds detail". */
export const parseReport = (text: string): Outcome[] =>
  text.split('\n').flatMap((line) => {
    const [, index, errno, nanoseconds, detail = ''] = /^(\d+) (\d+) (\d+)(?: (.*))?$/.exec(line) ?? []
    return index === undefined
      ? []
      : [
          {
            index: Number(index),
            errno: Number(errno),
            nanoseconds: Number(nanoseconds),
            detail: detail.trim(),
          },
        ]
  })

const errors = getSystemErrorMap()

/** `EPERM: operation not permitted`. */
export const errnoText = (errno: number): string => {
  const [name, text] = errors.get(-errno) ?? [`errno ${errno}`, 'unknown error']
  return `${name}: ${text}`
}

const codes: Record<number, FailureCode> = { 2: 'command_not_found', 13: 'command_not_executable' }
const noSpace = 28

const commandFailure = (where: string, name: string, { errno }: Outcome): Failure => {
  const code = codes[errno] ?? 'command_not_executable'
  const reason =
    errno === 2
      ? name.includes('/')
        ? 'there is no such file'
        : 'there is no such command on its PATH'
      : errno === 13
        ? 'it is not an executable file'
        : errnoText(errno)
  return new Failure(code, `cannot run "${name}" in ${where}: ${reason}`, {
    details: { exitCode: errno === 2 ? 127 : 126 },
  })
}

const sentences: Record<string, { code: FailureCode; of: (args: readonly string[]) => string }> = {
  ceiling: { code: 'limit_refused', of: ([name, hard]) => `limit ${name} to ${hard}` },
  rlimit: { code: 'limit_refused', of: ([name, soft, hard]) => `limit ${name} to ${soft}:${hard}` },
  'proc-write': { code: 'limit_refused', of: ([file, value]) => `write "${value}" to ${file}` },
  user: { code: 'not_found', of: ([user]) => `become user "${user}"` },
  bind: { code: 'system', of: ([, target]) => `mount at ${target}` },
  'tree-beneath': { code: 'not_permitted', of: ([, directory, path]) => `mount ${directory}/${path}` },
  cwd: { code: 'invalid_message', of: ([path]) => `use working directory ${path}` },
  directory: { code: 'invalid_message', of: ([path]) => `make working directory ${path}` },
}

/** The operation that failed as a `Failure` that names what, where and why; `where` is "container 01K…". */
export const failureOf = (where: string, [name, ...args]: Operation, outcome: Outcome): Failure => {
  if (name === 'resolve') return commandFailure(where, args[0] ?? '', outcome)
  const known = sentences[name]
  const what = known ? known.of(args) : `run "${equivalentOf([name, ...args]) ?? name}"`
  const reason = outcome.detail ? `${errnoText(outcome.errno)}: ${outcome.detail}` : errnoText(outcome.errno)
  const code = outcome.errno === noSpace ? 'no_space' : (known?.code ?? 'system')
  return new Failure(code, `cannot ${what} in ${where}: ${reason}`, { details: { errno: outcome.errno } })
}
