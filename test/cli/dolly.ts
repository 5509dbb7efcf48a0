import { join } from 'node:path'
import { type Options, execa } from 'execa'
import { patienceMs } from '../../shared/patience.ts'
import type { Stack } from '../helpers/stack.ts'

/** The command line as a user calls it. */
export const program = join(import.meta.dirname, '../../services/cli/dolly')

/** The variables of a shell in which `dolly` speaks to the stack. */
export const environmentOf = ({ env }: Pick<Stack, 'env'>) => ({ ...env, NO_COLOR: '1' })

/** `dolly` for one stack: never rejects, standard input is empty unless given. */
export const dollyOf =
  (stack: Pick<Stack, 'env'>) =>
  async (args: string[], options: Options = {}) => {
    const { stdout, stderr, exitCode, signal } = await execa(program, args, {
      reject: false,
      timeout: patienceMs(60_000),
      input: '',
      ...options,
      env: { ...environmentOf(stack), ...options.env },
    })
    return { stdout: String(stdout ?? ''), stderr: String(stderr ?? ''), exitCode, signal }
  }

export type Dolly = ReturnType<typeof dollyOf>
