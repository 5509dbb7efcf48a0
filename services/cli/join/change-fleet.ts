import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { operating } from '../../../shared/operating.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { retrying } from '../../../shared/retry.ts'
import { rewriteAccounts } from '../stack/nats-configuration.ts'
import { reloadServer } from '../stack/reload-server.ts'
import { lockRoot } from '../stack/stack-files.ts'
import { type Fleet, readFleet, writeFleet } from './fleet.ts'

const lockedWithinMs = 10_000

/**
 * Changes who may be on this host's bus, one at a time; nothing is written when `change` throws. The server takes it
 * when it is told to, by what this answers: a connection whose user is gone is closed then, and answers that are on
 * their way between people and services are lost. Throws `Failure`.
 */
export const changeFleet = async (
  config: Config,
  change: (fleet: Fleet) => Fleet,
): Promise<{ reload: () => Promise<void> }> => {
  // The rotation of passwords writes the same file.
  const lock = async () => {
    const release = await lockRoot(config, 'rotate')
    if (!release)
      throw new Failure('busy', `cannot change the users of ${config.root}: another process is at it`)
    return release
  }
  const release = await retrying(lock, { signal: AbortSignal.timeout(patienceMs(lockedWithinMs)) })
  try {
    const fleet = change(await readFleet(config))
    await operating(`change the users of ${config.root}`, async () => {
      // The fleet last: what it says is done.
      await rewriteAccounts(config, fleet)
      await writeFleet(config, fleet)
    })
    return { reload: async () => void (await reloadServer(config)) }
  } finally {
    release()
  }
}
