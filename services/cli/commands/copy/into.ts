import { lstat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { execa } from 'execa'
import { reasonOf } from '../../../../shared/failure.ts'
import { systemPath } from '../../../../shared/recorder.ts'
import type { Session } from '../bus/session.ts'
import { startCopier } from './copier.ts'
import { type ContainerPlace, endsInDot } from './places.ts'

export interface CopyFlags {
  /** Keeps owners; otherwise what is copied belongs to root inside, or to whoever copies out. */
  archive?: boolean
  followLink?: boolean
}

/** Counts what passes. */
export const counter = () => {
  let bytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(null, chunk)
    },
  })
  return { stream, bytes: () => bytes }
}

const packed = (directory: string, name: string, { archive, followLink }: CopyFlags) => {
  const owner = archive ? ['--numeric-owner'] : ['--owner=0', '--group=0', '--numeric-owner']
  const args = ['--create', '--file=-', ...owner, ...(followLink ? ['--dereference'] : [])]
  return execa('tar', [...args, '--directory', directory, '--', `./${name}`], {
    env: { PATH: systemPath, LC_ALL: 'C' },
    extendEnv: false,
    stdin: 'ignore',
    buffer: { stdout: false },
    reject: false,
  })
}

const readSource = async (from: string) => {
  if (from === '-') return { kind: 'stream' as const, name: '', directory: '' }
  const path = resolve(from)
  // A slash at the end asks for what a link leads to.
  const status = await lstat(from.endsWith('/') || endsInDot(from) ? `${path}/` : path)
  return status.isDirectory()
    ? { kind: 'directory' as const, name: basename(path), directory: path }
    : { kind: 'file' as const, name: basename(path), directory: dirname(path) }
}

const collected = async (chunks: AsyncIterable<{ data: Buffer }>): Promise<string> => {
  let text = ''
  for await (const { data } of chunks) text = (text + data.toString()).slice(-2000)
  return text
}

/** Copies from this host into a container; answers the bytes of the tar. Throws `Failure`, or an error of the file system. */
export const copyInto = async (
  session: Session,
  from: string,
  { container, path }: ContainerPlace,
  flags: CopyFlags,
): Promise<number> => {
  const { kind, name, directory } = await readSource(from)
  const content = endsInDot(from)
  using copier = await startCopier(session, { direction: 'in', container, path, kind, name, content })
  const tar = kind === 'stream' ? undefined : packed(directory, kind === 'directory' ? '' : name, flags)
  const { stream, bytes } = counter()
  const saying = collected(copier.frames)
  // What the container's side says of a broken stream tells more than the break.
  const flow = pipeline(tar?.stdout ?? process.stdin, stream, copier.input).catch(reasonOf)
  const said = await saying.catch((error: unknown) => {
    tar?.kill()
    throw error
  })
  await copier.succeeded(said)
  await flow
  const result = await tar
  if (result?.failed) throw new Error(result.stderr.trim() || 'tar failed')
  return bytes()
}
