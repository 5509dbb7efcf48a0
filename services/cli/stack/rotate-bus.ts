import { setTimeout as delay } from 'node:timers/promises'
import { connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { writeNewCredentials } from './nats-configuration.ts'
import { busRoles, userOf } from './nats-permissions.ts'
import { runningServers } from './orphans.ts'
import { signalIfAlive } from './process-table.ts'
import { lockRoot } from './stack-files.ts'

const takenWithinMs = 10_000

/** Waits until the server lets the new credentials in; answers whether it does. */
const isTaken = async (config: Config, log: Log): Promise<boolean> => {
  const deadline = performance.now() + takenWithinMs
  while (performance.now() < deadline) {
    try {
      await (
        await connectBus({ ...config, natsUser: undefined }, { role: 'operator', log, patient: false })
      ).close()
      return true
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      await delay(20)
    }
  }
  return false
}

const rotate = async (config: Config, log: Log): Promise<void> => {
  const { restore } = await writeNewCredentials(config)
  const servers = await runningServers(config)
  const reload = async () => {
    // The server reads its configuration again and lets go of whoever has an old password.
    for (const server of servers) await signalIfAlive(server, 'SIGHUP')
  }
  await reload()
  if (servers.length === 0 || (await isTaken(config, log))) return
  await restore()
  await reload()
  throw new Failure('timeout', `the server has not taken the new passwords: see ${config.names.logs}`)
}

/**
 * Gives every user of the stack's own bus a new password while it runs; services reconnect with theirs by
 * themselves. Killed midway it leaves services connected as they are; run again, it finishes. Answers the
 * users. Throws `Failure`.
 */
export const rotateBus = async (config: Config, log: Log): Promise<string[]> => {
  const release = await lockRoot(config, 'rotate')
  if (!release) throw new Failure('conflict', 'cannot rotate: another process is at it')
  try {
    await rotate(config, log)
  } finally {
    release()
  }
  return busRoles.map((role) => userOf(role, config.node))
}
