import { z } from 'zod'
import { operation } from './contract.ts'
import { ContainerId } from './identity.ts'

/** Bytes that one message carries: in base64 and JSON far below what a message of the bus holds. */
export const streamChunkBytes = 256 * 1024
/** How long a read or a write waits for the other side before it answers with nothing done. */
export const streamWaitMs = 3000
/** A stream that nobody asks anything of is closed after this long. */
export const streamIdleMs = 60_000

/** Not to be guessed: who knows it may read and write the stream. */
const StreamId = z.string().regex(/^[a-f0-9]{32}$/, 'is the name of an open stream')
const Position = z.number().int().nonnegative()
/** Bytes as JSON has them. */
export const Base64 = z.string().max(Math.ceil(streamChunkBytes / 3) * 4)
const Opened = z.object({ stream: StreamId })

/** Opens the standard streams of init, or of an exec or copy in the container. */
export const streamAttach = operation('namespace', 'attach', {
  input: z.object({ id: ContainerId, execId: z.string().optional() }),
  output: Opened,
})
/** Opens the log, as the monitor writes it; with `follow` it ends once its input has been ended. */
export const streamLogs = operation('namespace', 'logs', {
  input: z.object({
    id: ContainerId,
    follow: z.boolean().default(false),
    /** Only so many last lines; null is all. */
    tail: z.number().int().nonnegative().nullable().default(null),
  }),
  /** `dropped`: its beginning is gone, since the log became too long. */
  output: Opened.extend({ dropped: z.boolean() }),
})
/** Reads on from `after`, which says that everything before it has come: until then it is kept and can be read again. */
export const streamRead = operation('namespace', 'stream-read', {
  input: z.object({
    stream: StreamId,
    after: Position,
  }),
  output: z.object({
    /** `data` is base64. */
    frames: z.array(z.object({ stream: z.enum(['stdout', 'stderr']), data: z.string() })),
    next: Position,
    ended: z.boolean(),
  }),
})
/**
 * Writes at `offset`, once however often it is asked; answers how much has been taken, which may be nothing yet.
 * Nothing may be written to say that somebody is still there.
 */
export const streamWrite = operation('namespace', 'stream-write', {
  input: z.object({
    stream: StreamId,
    offset: Position,
    data: Base64.default(''),
    /** Nothing comes after this. */
    end: z.boolean().default(false),
  }),
  /** `closed`: nobody reads it any more. */
  output: z.object({ offset: Position, closed: z.boolean() }),
})
/** The size of the terminal at its other end. */
export const streamResize = operation('namespace', 'resize', {
  input: z.object({
    stream: StreamId,
    rows: z.number().int().positive().max(65_535),
    columns: z.number().int().positive().max(65_535),
  }),
  output: z.strictObject({}),
})
/** Lets go of it; the process goes on. */
export const streamClose = operation('namespace', 'stream-close', {
  input: z.object({ stream: StreamId }),
  output: z.strictObject({}),
})
