import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { Failure } from '../../../shared/failure.ts'
import { type Frame, frames } from './stdcopy.ts'

const said = async (child: ChildProcess): Promise<string> => {
  let text = ''
  if (child.stderr) for await (const chunk of child.stderr) text += String(chunk)
  return text.trim()
}

/**
 * What an attacher writes until it ends. Throws `Failure` (`interrupted`) when it breaks. Call it before the
 * process starts: Node throws away what a child has written when the child exits before anyone reads.
 */
export const attachedFrames = (attacher: ChildProcess): AsyncGenerator<Frame> => {
  if (!attacher.stdout) throw new Error('the attacher has no standard output')
  const ended = attacher.exitCode === null ? once(attacher, 'exit') : Promise.resolve([attacher.exitCode])
  const complaint = said(attacher)
  const output = attacher.stdout.pipe(new PassThrough())
  return (async function* () {
    yield* frames(output)
    const [[code], text] = await Promise.all([ended as Promise<[number | null]>, complaint])
    if (code !== 0)
      throw new Failure('interrupted', `cannot attach: ${text || `the relay ended with ${code}`}`)
  })()
}

/** The same as one text. */
export const attachedOutput = async (attacher: ChildProcess): Promise<string> => {
  const written: Buffer[] = []
  for await (const { data } of attachedFrames(attacher)) written.push(data)
  return Buffer.concat(written).toString()
}
