import { rmSync, statSync, writeFileSync } from 'node:fs'
import { type BundlePaths, readIfThere } from './bundle.ts'

const statOf = (file: string) => statSync(file, { bigint: true, throwIfNoEntry: false })

/** A number of a file is given again; with the time of its birth it is its own. */
const identityOf = (file: string): string | undefined => {
  const found = statOf(file)
  return found && `${found.ino} ${found.birthtimeNs}`
}

/**
 * Makes room for another run: conmon begins to count at nothing with each, so that a container that ends
 * and starts for ever would fill the disk.
 */
export const makeLogRoom = (paths: BundlePaths, logSizeBytes: number): void => {
  if ((statOf(paths.log)?.size ?? 0n) > BigInt(logSizeBytes) / 2n) rmSync(paths.log, { force: true })
}

/** Remembers the file that a container's log is, before it has written anything. */
export const noteLogOrigin = (paths: BundlePaths): void => {
  const identity = identityOf(paths.log)
  if (identity !== undefined && readIfThere(paths.logOrigin) === undefined)
    writeFileSync(paths.logOrigin, identity, { mode: 0o600 })
}

/** Whether the log once was another file: what stood in it was dropped when it became too long. */
export const hasDropped = (paths: BundlePaths): boolean => {
  const origin = readIfThere(paths.logOrigin)
  return origin !== undefined && origin !== identityOf(paths.log)
}
