import type { Command } from 'commander'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { remark } from '../output/print.ts'
import { byteSize } from '../output/size.ts'
import { withSession } from './bus/session.ts'
import { type CopyFlags, copyInto } from './copy/into.ts'
import { copyOutOf } from './copy/out-of.ts'
import { directionOf } from './copy/places.ts'

interface CpFlags extends CopyFlags {
  quiet?: boolean
}

const cp = async (source: string, destination: string, flags: CpFlags): Promise<void> => {
  const direction = directionOf(source, destination)
  try {
    const bytes = await withSession((session) =>
      typeof direction.from === 'string'
        ? copyInto(session, direction.from, direction.to as Exclude<typeof direction.to, string>, flags)
        : copyOutOf(session, direction.from, direction.to as string, flags),
    )
    if (!flags.quiet && destination !== '-')
      remark(`Successfully copied ${byteSize(bytes)} to ${destination}`)
  } catch (error) {
    const code = error instanceof Failure ? error.code : 'invalid_message'
    throw new Failure(code, `cannot copy ${source} to ${destination}: ${reasonOf(error)}`, { cause: error })
  }
}

export const configure = (command: Command): void => {
  command
    .argument('<source>', 'CONTAINER:PATH, a path, or - for a tar on standard input')
    .argument('<destination>', 'a path, - for a tar on standard output, or CONTAINER:PATH')
    .option('-a, --archive', 'keep uid and gid')
    .option('-L, --follow-link', 'copy what a link leads to')
    .option('-q, --quiet', 'say nothing when it is done')
    .action(cp)
}
