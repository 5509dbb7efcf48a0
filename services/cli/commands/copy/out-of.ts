import { existsSync, statSync } from 'node:fs'
import { mkdir, rename, stat } from 'node:fs/promises'
import { basename, dirname, join, posix, resolve } from 'node:path'
import { PassThrough, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { execa } from 'execa'
import { Failure, reasonOf } from '../../../../shared/failure.ts'
import { systemPath } from '../../../../shared/recorder.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import type { Session } from '../bus/session.ts'
import { type Copier, startCopier } from './copier.ts'
import { type CopyFlags, counter } from './into.ts'
import type { ContainerPlace } from './places.ts'

const mostMemory = 512 * 2 ** 20

/** What is unpacked came from a container: no device of it and no set-uid program appears on this host. */
const unpacker = (directory: string, { archive }: CopyFlags, stripped: number) => {
  const owner = archive ? ['--same-owner', '--numeric-owner'] : ['--no-same-owner']
  const tar = ['tar', '--extract', '--file=-', '--no-same-permissions', ...owner]
  // A header may say how long a name is: tar takes as much memory.
  const bounded = ['prlimit', `--as=${mostMemory}`, ...tar]
  const command = [...bounded, `--strip-components=${stripped}`, '--directory', directory]
  const [file = '', ...args] =
    process.geteuid?.() === 0 ? ['setpriv', '--bounding-set=-mknod', '--', ...command] : command
  return execa(file, args, {
    env: { PATH: systemPath, LC_ALL: 'C' },
    extendEnv: false,
    stdin: 'pipe',
    reject: false,
  })
}

const isDirectory = (path: string): boolean => existsSync(path) && statSync(path).isDirectory()

/** Resolves when more can be written, or nothing ever will be. */
const drained = (stream: Writable): Promise<void> =>
  new Promise((goOn) => {
    const over = () => {
      stream.off('drain', over).off('close', over)
      goOn()
    }
    stream.on('drain', over).on('close', over)
  })

/** Divides the copier's output: its first word is what the source is, the rest of its errors is kept. */
const divided = (copier: Copier) => {
  const tar = new PassThrough()
  const { promise: kind, resolve: know } = Promise.withResolvers<'directory' | 'file' | undefined>()
  const read = async () => {
    let said = ''
    for await (const { stream, data } of copier.frames) {
      if (stream === 'stdout') {
        // Whoever unpacks may have ended, which it says itself.
        if (!tar.destroyed && !tar.write(data) && !tar.destroyed) await drained(tar)
        continue
      }
      said = (said + data.toString()).slice(-2000)
      const [first] = said.split('\n')
      if (first === 'directory' || first === 'file') know(first)
    }
    know(undefined)
    tar.end()
    return said.replace(/^(directory|file)\n/, '')
  }
  const said = read().catch((error: unknown) => {
    know(undefined)
    tar.destroy()
    throw error
  })
  said.catch(() => {}) // thrown when it is waited for
  return { tar, kind, said }
}

interface Target extends AsyncDisposable {
  sink: Writable
  /** Once all has come. */
  done: () => Promise<void>
}
const nothing = () => Promise.resolve()

const unpacked = async (unpacking: ReturnType<typeof unpacker>): Promise<void> => {
  const result = await unpacking
  if (result.failed) throw new Failure('invalid_message', String(result.stderr).trim() || 'tar failed')
}

const fileTarget = async (to: string, name: string, flags: CopyFlags): Promise<Target> => {
  const file = isDirectory(to) ? join(to, name) : resolve(to)
  if (to.endsWith('/') && !isDirectory(to)) throw new Failure('not_found', `there is no directory ${to}`)
  if (isDirectory(file)) throw new Failure('conflict', `${file} is a directory, not a file`)
  // Beside it, so that it comes to its name whole and in one step.
  const held = await temporaryDirectory(join(dirname(file), '.dolly-cp-'))
  const hold = held.path
  const tar = unpacker(hold, flags, 0)
  return {
    sink: tar.stdin,
    done: async () => {
      await unpacked(tar)
      await rename(join(hold, name), file)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(held[Symbol.dispose]()),
  }
}

const directoryTarget = async (
  to: string,
  { name, content }: { name: string; content: boolean },
  flags: CopyFlags,
): Promise<Target> => {
  const there = isDirectory(to)
  if (!there && existsSync(to)) throw new Failure('conflict', `${to} is a file, not a directory`)
  if (!there) await stat(dirname(resolve(to)))
  const directory = there && !content ? join(to, name) : to
  if (existsSync(directory) && !isDirectory(directory))
    throw new Failure('conflict', `${directory} is a file, not a directory`)
  await mkdir(directory, { recursive: true })
  const tar = unpacker(directory, flags, name === '.' ? 1 : 2)
  return { sink: tar.stdin, done: () => unpacked(tar), [Symbol.asyncDispose]: nothing }
}

/** Copies from a container to this host; answers the bytes of the tar. Throws `Failure`, or an error of the file system. */
export const copyOutOf = async (
  session: Session,
  { container, path, content }: ContainerPlace,
  to: string,
  flags: CopyFlags,
): Promise<number> => {
  const bare = posix.resolve(path)
  const [directory, name] =
    content || bare === '/' ? [bare, '.'] : [posix.dirname(bare), posix.basename(bare)]
  const followLinks = flags.followLink ?? false
  using copier = await startCopier(session, { direction: 'out', container, directory, name, followLinks })
  copier.input.end()
  const { tar, kind, said } = divided(copier)
  const { stream, bytes } = counter()
  const found = await kind
  if (found === undefined) {
    await copier.succeeded(await said)
    throw new Failure('interrupted', 'the copy ended before it began')
  }
  const into = found === 'directory' ? { name, content: content || name === '.' } : undefined
  await using target: Target =
    to === '-'
      ? { sink: process.stdout, done: nothing, [Symbol.asyncDispose]: nothing }
      : into
        ? await directoryTarget(to, into, flags)
        : await fileTarget(to, basename(bare), flags)
  const flow = pipeline(tar, stream, target.sink, { end: to !== '-' }).catch(reasonOf)
  const words = await said
  await flow
  await target.done()
  await copier.succeeded(words)
  return bytes()
}
