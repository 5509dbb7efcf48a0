import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { frames } from './stdcopy.ts'

/**
 * Collects what an attacher writes until it ends. Call it before the process starts: Node throws away what
 * a child has written when the child exits before anyone reads.
 */
export const attachedOutput = async (attacher: ChildProcess): Promise<string> => {
  if (!attacher.stdout) throw new Error('the attacher has no standard output')
  const ended = once(attacher, 'exit')
  const written: Buffer[] = []
  for await (const { data } of frames(attacher.stdout)) written.push(data)
  await ended
  return Buffer.concat(written).toString()
}
