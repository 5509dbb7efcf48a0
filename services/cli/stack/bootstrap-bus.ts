import { connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import type { Log } from '../../../shared/log.ts'

/** Makes or updates the streams, consumers and buckets of a bus: no service may. Throws `Failure`. */
export const bootstrapBus = async (config: Config, log: Log): Promise<void> => {
  const bus = await connectBus(config, { role: 'bootstrap', log, patient: false })
  try {
    await bus.ensureStreams()
  } finally {
    await bus.close()
  }
}
