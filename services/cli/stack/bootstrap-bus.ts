import { connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import type { Log } from '../../../shared/log.ts'

/**
 * Makes or updates the streams, consumers and buckets of a bus: no service may. With `patient` it waits for the
 * server. Throws `Failure`.
 */
export const bootstrapBus = async (
  config: Config,
  log: Log,
  { patient = false }: { patient?: boolean } = {},
): Promise<void> => {
  const bus = await connectBus(config, { role: 'bootstrap', log, patient })
  try {
    await bus.ensureStreams()
  } finally {
    await bus.close()
  }
}
