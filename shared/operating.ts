import { Failure, type FailureCode, errnoOf, reasonOf } from './failure.ts'

const codes: Record<string, FailureCode> = {
  ENOSPC: 'no_space',
  EDQUOT: 'no_space',
  ENAMETOOLONG: 'invalid_message',
  EBUSY: 'busy',
  EPERM: 'host_unfit',
  EROFS: 'host_unfit',
}

/**
 * Runs what may fail for reasons of the system, and turns such an error into a `Failure` that says
 * "cannot `what`: …". Failures pass as they are, and so does everything else: that is a bug.
 */
export const operating = async <T>(what: string, act: () => Promise<T> | T): Promise<T> => {
  try {
    return await act()
  } catch (error) {
    const errno = errnoOf(error)
    if (error instanceof Failure || errno === undefined || errno.startsWith('ERR_')) throw error
    throw new Failure(codes[errno] ?? 'system', `cannot ${what}: ${reasonOf(error)}`, { cause: error })
  }
}
