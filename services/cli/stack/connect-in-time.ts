import { type Bus, connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { retrying } from '../../../shared/retry.ts'

/** Connects as operator, trying until the signal while the server is not there, or is just reading its users. Throws the last `Failure`. */
export const connectInTime = (config: Config, log: Log, signal: AbortSignal): Promise<Bus> =>
  retrying(
    () =>
      connectBus(config, { role: 'operator', log, patient: false }).catch((error: unknown) => {
        if (!(error instanceof Failure) || error.code !== 'not_permitted') throw error
        throw new Failure('unavailable', error.message, { cause: error })
      }),
    { signal },
  )
