/** What each failure code means on the wire: its service-error status and whether trying again can help. */
export const failureCodes = {
  invalid_message: { status: 400, retryable: false },
  not_found: { status: 404, retryable: false },
  image_not_found: { status: 404, retryable: false },
  command_not_found: { status: 404, retryable: false },
  command_not_executable: { status: 403, retryable: false },
  not_permitted: { status: 403, retryable: false },
  conflict: { status: 409, retryable: false },
  subnet_in_use: { status: 409, retryable: false },
  limit_refused: { status: 422, retryable: false },
  unsupported: { status: 501, retryable: false },
  no_space: { status: 507, retryable: false },
  no_capacity: { status: 503, retryable: false },
  host_unfit: { status: 503, retryable: false },
  cancelled: { status: 499, retryable: false },
  stale: { status: 412, retryable: false },
  system: { status: 500, retryable: false },
  busy: { status: 503, retryable: true },
  unavailable: { status: 503, retryable: true },
  timeout: { status: 504, retryable: true },
  interrupted: { status: 500, retryable: true },
} as const

export type FailureCode = keyof typeof failureCodes

export interface FailureDetails {
  /** Values a program may want: the key at fault, the limit, the exit code of a command. */
  details?: Record<string, unknown>
  cause?: unknown
}

/** An operating error with a code from the closed table; anything else thrown is a bug. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly code: FailureCode
  readonly details: Record<string, unknown>

  constructor(code: FailureCode, message: string, { details = {}, cause }: FailureDetails = {}) {
    super(message, { cause })
    this.code = code
    this.details = details
  }

  get retryable(): boolean {
    return failureCodes[this.code].retryable
  }
}

/** The message of anything thrown, for a sentence that says why. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The `errno` name (`ENOENT`) of a Node system error, or undefined. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** Runs a removal for which "already absent" is success; any other error passes. */
export const absentIsSuccess = async (removal: () => Promise<unknown>): Promise<void> => {
  try {
    await removal()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
