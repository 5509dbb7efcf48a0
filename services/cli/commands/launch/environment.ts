import { readFile } from 'node:fs/promises'
import { Failure, reasonOf } from '../../../../shared/failure.ts'

/** The lines of an env file that set something: no empty ones, no comments. Values are taken as they stand, as Docker does. */
export const envFileEntries = (text: string): string[] =>
  text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))

const passOn = (entry: string, own: NodeJS.ProcessEnv): string[] => {
  if (entry.includes('=')) return [entry]
  const value = own[entry]
  return value === undefined ? [] : [`${entry}=${value}`]
}

const checked = (entry: string): string => {
  if (/^[^=\s]+(=|$)/.test(entry)) return entry
  throw new Failure(
    'invalid_message',
    `cannot use variable "${entry.slice(0, 64)}": give it as KEY=value or KEY`,
  )
}

/** The container's variables from `--env-file` and then `--env`; `KEY` alone takes the caller's, or nothing when unset. */
export const environmentOf = async (
  { envFile = [], env = [] }: { envFile?: readonly string[]; env?: readonly string[] },
  own: NodeJS.ProcessEnv = process.env,
): Promise<string[]> => {
  const fromFiles = envFile.map(async (file) => {
    try {
      return envFileEntries(await readFile(file, 'utf8'))
    } catch (error) {
      throw new Failure('invalid_message', `cannot read --env-file ${file}: ${reasonOf(error)}`, {
        cause: error,
      })
    }
  })
  const entries = [...(await Promise.all(fromFiles)).flat(), ...env]
    .map(checked)
    .flatMap((entry) => passOn(entry, own))
  // The last of a name wins, in the place of the first.
  const byName = new Map(entries.map((entry) => [entry.slice(0, entry.indexOf('=')), entry]))
  return [...byName.values()]
}
