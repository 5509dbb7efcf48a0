import type { ImageConfig, Process } from '../../shared/contracts/oci.ts'
import { Failure } from '../../shared/failure.ts'
import { systemPath } from '../../shared/recorder.ts'

/** What runs in a container: the caller's wishes over the image's. */
export interface Command {
  args: string[]
  env: string[]
  cwd: string
  user: string
  /** Path of a static program of the host that runs in place of one of the container's. */
  program?: string
}

const nameOf = (variable: string): string => variable.split('=', 1)[0] ?? variable

/** Later variables replace earlier ones of the same name and keep their place. */
export const mergeEnvironment = (...lists: readonly (readonly string[])[]): string[] => [
  ...new Map(lists.flat().map((variable) => [nameOf(variable), variable])).values(),
]

/** Docker's rule: an entrypoint that the caller gives also resets the image's `Cmd`. */
const argsOf = ({ entrypoint, args }: Pick<Process, 'entrypoint' | 'args'>, image: ImageConfig): string[] =>
  entrypoint ? [...entrypoint, ...(args ?? [])] : [...(image.Entrypoint ?? []), ...(args ?? image.Cmd ?? [])]

/** The variables that every process of a container has unless it says otherwise; HOME comes from its user. */
export const baseEnvironment = (hostname: string, terminal: boolean): string[] => [
  `PATH=${systemPath}`,
  `HOSTNAME=${hostname}`,
  ...(terminal ? ['TERM=xterm'] : []),
]

/** Merges process and image configuration. Throws `Failure` (`invalid_message`) when neither names a command. */
export const commandOf = (
  { id, hostname, process }: { id: string; hostname: string; process: Process },
  image: ImageConfig,
): Command => {
  const args = argsOf(process, image)
  if (!args[0]) {
    throw new Failure(
      'invalid_message',
      `cannot run container ${id}: neither it nor its image names a command`,
    )
  }
  return {
    args,
    env: mergeEnvironment(baseEnvironment(hostname, process.terminal), image.Env ?? [], process.env),
    cwd: process.cwd || image.WorkingDir || '/',
    user: process.user || image.User || '',
  }
}
