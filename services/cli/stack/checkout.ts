import { statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Who has no capability is the owner, or of the group, or somebody else: root too, path_resolution(7). */
const maySearch = (directory: string): boolean => {
  const { mode, uid, gid } = statSync(directory)
  const bit = uid === 0 ? 0o100 : gid === 0 ? 0o010 : 0o001
  return (mode & bit) !== 0
}

/** The directory on the way to a path that root without capabilities may not search, as a home of mode 700; undefined when there is none. */
export const closedAbove = (path: string): string | undefined => {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    if (!maySearch(directory)) return directory
    if (directory === '/') return undefined
  }
}
