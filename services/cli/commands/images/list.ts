import { verbs } from '../../../../shared/contracts/verbs.ts'
import type { Image } from '../../../../shared/contracts/operations.ts'
import { ExitCode } from '../../output/failure.ts'
import { printJson, printLine } from '../../output/print.ts'
import { byteSize } from '../../output/size.ts'
import { table } from '../../output/table.ts'
import { ago } from '../../output/time.ts'
import { ask } from '../bus/ask.ts'
import { lookAtNodes, withNodes } from '../bus/nodes.ts'
import { withSession } from '../bus/session.ts'

export interface ImageListFlags {
  quiet?: boolean
  trunc: boolean
  json?: boolean
  node?: string
}

const rowsOf = ({ digest, tags, createdAt, size }: Image, trunc: boolean): string[][] => {
  const id = trunc ? digest.replace(/^\w+:/, '').slice(0, 12) : digest
  const names = tags.length > 0 ? tags : ['<none>:<none>']
  return names.map((tag) => {
    const at = tag.lastIndexOf(':')
    return [tag.slice(0, at), tag.slice(at + 1), id, ago(createdAt), byteSize(size)]
  })
}

/** `dolly image ls` and `dolly images`. */
export const listImages = async ({ quiet, trunc, json, node: wish }: ImageListFlags): Promise<void> => {
  const images = await withSession((session) =>
    lookAtNodes(
      session,
      wish,
      async (node) => (await ask(session.bus, verbs.imageList, node ? { node } : {})).images,
    ),
  )
  const { several, found, missing } = images
  const rows = found.flatMap(({ node, item }) =>
    rowsOf(item, trunc).map((row) => (several ? [...row, node] : row)),
  )
  const head = ['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE', ...(several ? ['NODE'] : [])]
  if (json) printJson(withNodes(images))
  else if (quiet) [...new Set(rows.map(([, , id = '']) => id))].forEach(printLine)
  else printLine(table(head, rows))
  if (missing) throw new ExitCode(1)
}
