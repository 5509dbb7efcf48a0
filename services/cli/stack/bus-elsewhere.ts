import { connectBus } from '../../../shared/bus.ts'
import { type Config, readAccess } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { noLog } from '../commands/bus/session.ts'
import { accessFile, ownAccessFile } from './access-files.ts'
import { servicesOf } from './project.ts'

/**
 * Throws `Failure` (`host_unfit`) when a file of keys that this host made as it joined is gone, or others can read
 * it: nobody has them a second time.
 */
export const requireKeys = async (config: Config): Promise<void> => {
  const own = servicesOf(config).map((name) => ownAccessFile(config.names, name))
  for (const file of [accessFile(config.names), ...own]) {
    if (readAccess(file)) continue
    throw new Failure(
      'host_unfit',
      `there is no ${file}: "dolly node rm ${config.node}" on the bus's host, then join again`,
    )
  }
}

/** Throws `Failure` (`unavailable`, `not_permitted`) unless the bus that this host has joined lets it in. */
export const requireBus = async (config: Config): Promise<void> => {
  const bus = await connectBus(config, { role: 'operator', log: noLog, patient: false })
  await bus.close()
}
