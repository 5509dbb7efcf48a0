import type { SagaRecord } from '../../../shared/contracts/journal.ts'

/** Where in a journal an append goes: after exactly this sequence, under this id for its repetition. */
export interface Position {
  expectedSequence: number
  messageId: string
}

/** One record as it stands in the log. */
export interface JournalEntry {
  sequence: number
  messageId: string
  record: SagaRecord
}

export interface JournalContent {
  entries: JournalEntry[]
  /** Last sequence of the subject, records of others included: what an append must expect. */
  sequence: number
}

/** An append-only log of one saga with compare-and-set. */
export interface Journal {
  /** Throws `Failure` (`invalid_message`, with the sequence) when a record cannot be read. */
  read(): Promise<JournalContent>
  /** Answers the new sequence; repeats until the log has it. Throws `Failure` (`stale`) when another record came first. */
  append(record: SagaRecord, position: Position): Promise<number>
}
