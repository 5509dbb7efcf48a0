import { type Bus, connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import type { Log } from '../../../shared/log.ts'
import { serveRegistrar } from './registrar.ts'

/** Lets hosts join this host's bus until the connection that it answers is closed. Throws `Failure`. */
export const startRegistrar = async (config: Config, log: Log): Promise<Bus> => {
  const bus = await connectBus(config, { role: 'registrar', log })
  try {
    await serveRegistrar(config, bus, log)
    return bus
  } catch (error) {
    await bus.close()
    throw error
  }
}
