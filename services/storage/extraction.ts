import { type Hash, createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { PassThrough, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { Failure } from '../../shared/failure.ts'
import { type Recorder, shellLine, systemPath } from '../../shared/recorder.ts'
import { decompressorFor, guardTar } from './tar-stream.ts'

/** What one import may take of the host. */
export interface ImportLimits {
  maxBytes: number
  maxEntries: number
  timeoutMs: number
}

const script = fileURLToPath(new URL('extract-in-jail.sh', import.meta.url))

const hashing = (hash: Hash): Transform =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })

const start = (command: readonly string[], cancelSignal: AbortSignal) => {
  const [file = '', ...args] = command
  return execa(file, args, {
    stdin: 'pipe',
    buffer: { stdout: false },
    cancelSignal,
    forceKillAfterDelay: 500,
    reject: false,
    env: { PATH: systemPath, LC_ALL: 'C' },
    extendEnv: false,
    preferLocal: false,
  })
}

const firstBytes = async (path: string): Promise<Buffer> => {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0)
  return buffer.subarray(0, bytesRead)
}

const counting = (maxEntries: number, exceeded: (failure: Failure) => void) => {
  let lines = 0
  return (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 10) lines++
    if (lines > maxEntries) exceeded(new Failure('no_space', `it has more than ${maxEntries} entries`))
  }
}

/** What a program said first: tar goes on after an error and says at its end only that there was one. */
const firstWords = (stderr: string): string => {
  const lines = stderr.trim().split('\n')
  return (lines.find((line) => !line.includes('Removing leading')) ?? '').slice(0, 300)
}

type Ended = { failed: boolean; stderr: string; code?: string | undefined; command: string }

/** Of a program that failed by itself: one that was stopped, or lost its reader, has nothing to say. */
const ownWords = ({ failed, stderr }: Ended): string | undefined =>
  failed && stderr !== '' && !/Broken pipe|Connection reset/.test(stderr) ? firstWords(stderr) : undefined

/**
 * The reason that came first: a guard's refusal, then the programs', then a broken pipe between them. A guard
 * that missed a tar, or its end, only saw what a decompressor that failed had left out.
 */
const firstReason = (
  settled: readonly PromiseSettledResult<unknown>[],
  { tar, decompressor }: { tar: Ended; decompressor: Ended | undefined },
): unknown => {
  const errors = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  const guard = errors.find((error) => error instanceof Failure)
  if (guard && guard.code !== 'invalid_message') return guard
  if (decompressor?.code === 'ENOENT') {
    const [program] = decompressor.command.split(' ')
    return new Failure('host_unfit', `it is compressed, and there is no program "${program}" on its host`)
  }
  const words = (decompressor && ownWords(decompressor)) ?? (guard ? undefined : ownWords(tar))
  if (words !== undefined)
    return new Failure(/No space left/i.test(words) ? 'no_space' : 'invalid_message', words)
  const bad = tar.failed || decompressor?.failed
  return guard ?? errors[0] ?? (bad ? new Failure('timeout', 'it took too long') : undefined)
}

const unpack = async (
  command: readonly string[],
  { path, limits }: { path: string; limits: ImportLimits },
): Promise<string> => {
  const stop = new AbortController()
  const deadline = AbortSignal.timeout(limits.timeoutMs)
  const cancelSignal = AbortSignal.any([stop.signal, deadline])
  const decompressing = decompressorFor(await firstBytes(path))
  const hash = createHash('sha256')
  const tar = start(command, cancelSignal)
  const decompressor = decompressing && start(decompressing, cancelSignal)
  const { promise: tooMany, reject } = Promise.withResolvers<never>()
  tar.stdout.on('data', counting(limits.maxEntries, reject))
  const plain = decompressor?.stdout ?? new PassThrough()
  const flows = [
    pipeline(createReadStream(path), hashing(hash), decompressor?.stdin ?? (plain as PassThrough), {
      signal: cancelSignal,
    }),
    pipeline(plain, guardTar(limits.maxBytes), tar.stdin, { signal: cancelSignal }),
  ]
  const all = Promise.all([...flows, tar, decompressor])
  const first = await Promise.allSettled([Promise.race([all, tooMany])])
  stop.abort()
  const settled = await Promise.allSettled(flows)
  // The programs must have ended before the caller deletes what they write to.
  const ended = { tar: await tar, decompressor: await decompressor }
  if (deadline.aborted) throw new Failure('timeout', `it took more than ${limits.timeoutMs} ms`)
  const reason = firstReason([...first, ...settled], ended)
  if (reason) throw reason
  return `sha256:${hash.digest('hex')}`
}

/**
 * Unpacks a tar, compressed or not, into a directory, jailed there; answers the digest of the bytes
 * that were unpacked. Throws `Failure` with the reason alone.
 */
export const extract = (
  record: Recorder,
  { path, into, jail, limits }: { path: string; into: string; jail: string; limits: ImportLimits },
): Promise<string> => {
  const command = ['unshare', '--mount', '--propagation', 'private', '/bin/sh', script, into, jail]
  return record.call(`${shellLine(command)} < ${shellLine([path])}`, () => unpack(command, { path, limits }))
}
