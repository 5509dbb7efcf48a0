import { readFile } from 'node:fs/promises'

/** One line of `/proc/self/mountinfo`. */
export interface Mount {
  /** Path inside the mounted file system that appears at `mountPoint`. */
  root: string
  mountPoint: string
  options: string[]
  fsType: string
  source: string
  superOptions: string[]
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

/** The mounts in the text of a mountinfo file, in the order of mounting. */
export const parseMountTable = (text: string): Mount[] =>
  text
    .split('\n')
    .filter((line) => line.includes(' - '))
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ')
      const [, , , root = '', mountPoint = '', options = ''] = before.split(' ')
      const [fsType = '', source = '', superOptions = ''] = after.split(' ')
      return {
        root: unescaped(root),
        mountPoint: unescaped(mountPoint),
        options: options.split(','),
        fsType,
        source: unescaped(source),
        superOptions: superOptions.split(','),
      }
    })

/** What this process sees mounted now. */
export const readMountTable = async (): Promise<Mount[]> =>
  parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'))
