/** A command as the work queue delivers it; unacknowledged until its saga has ended. */
export interface Command {
  subject: string
  body: Uint8Array
  messageId: string | undefined
  /** Sequence in the COMMANDS stream. */
  sequence: number
  time: Date
  deliveries: number
  /** Keeps the command with this process for another acknowledgement wait. */
  working(): void
  /** Resolves when the server has the acknowledgement. */
  done(): Promise<void>
  /** Never deliver again. */
  reject(reason: string): void
  /** Deliver again, to anyone, after the delay. */
  release(delayMs?: number): void
}

/**
 * Message id of the delete that the end of a container with `auto_remove` leads to; `sequence` is that of its exit.
 * The work queue takes the first of all who publish it.
 */
export const autoRemoveId = (id: string, sequence: number): string => `${id}:auto-remove:${sequence}`
