import { verbs } from '../../../../shared/contracts/verbs.ts'
import type { Image } from '../../../../shared/contracts/operations.ts'
import { printJson, printLine } from '../../output/print.ts'
import { byteSize } from '../../output/size.ts'
import { table } from '../../output/table.ts'
import { ago } from '../../output/time.ts'
import { ask } from '../bus/ask.ts'
import { withSession } from '../bus/session.ts'

export interface ImageListFlags {
  quiet?: boolean
  trunc: boolean
  json?: boolean
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
export const listImages = async ({ quiet, trunc, json }: ImageListFlags): Promise<void> => {
  const { images } = await withSession(({ bus }) => ask(bus, verbs.imageList, {}))
  if (json) return printJson(images)
  const rows = images.flatMap((image) => rowsOf(image, trunc))
  if (quiet) return [...new Set(rows.map(([, , id = '']) => id))].forEach(printLine)
  printLine(table(['REPOSITORY', 'TAG', 'IMAGE ID', 'CREATED', 'SIZE'], rows))
}
