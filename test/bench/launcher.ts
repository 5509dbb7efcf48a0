/** A container launcher under measurement: each call does the work once and answers how long it took, in milliseconds. */
export interface Launcher extends AsyncDisposable {
  name: string
  version: string
  /** What it does for a container that others do not, or leaves out. */
  note: string
  /** Makes a container that sleeps, and starts it. */
  create(id: string): Promise<number>
  /** Kills it and removes it with all that was made for it. */
  remove(id: string): Promise<number>
  /** Runs `true` in a container that runs. */
  exec(id: string): Promise<number>
  /** The whole of `run --rm IMAGE true` by its command line; a bare runtime has none. */
  runOnce?(): Promise<number>
}

/** What every launcher is asked for. */
export const limits = { memoryBytes: 512 * 2 ** 20, pids: 512 }

/** A launcher that cannot run here: it is skipped with this reason. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun'
}
