import { setTimeout as delay } from 'node:timers/promises'
import { connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import type { Log } from '../../../shared/log.ts'
import { writeNewCredentials } from './nats-configuration.ts'
import { busRoles, userOf } from './nats-permissions.ts'
import { reloadServer } from './reload-server.ts'
import { lockRoot } from './stack-files.ts'

const takenWithinMs = 10_000
const triedForMs = 1000

/** Waits until the server lets the new credentials in; answers whether it does. */
const isTaken = async (config: Config, log: Log): Promise<boolean> => {
  const deadline = performance.now() + takenWithinMs
  while (performance.now() < deadline) {
    try {
      const as = { ...config, natsUser: undefined }
      const options = { role: 'operator', log, patient: false, withinMs: triedForMs }
      await (await connectBus(as, options)).close()
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
  if (!(await reloadServer(config)) || (await isTaken(config, log))) return
  await restore()
  await reloadServer(config)
  throw new Failure('timeout', `the server has not taken the new passwords: see ${config.names.logs}`)
}

/**
 * Gives every user of the stack's own bus a new password while it runs; services reconnect with theirs by
 * themselves. Killed midway it leaves services connected as they are; run again, it finishes. Answers the
 * users. Throws `Failure`.
 */
export const rotateBus = async (config: Config, log: Log): Promise<string[]> => {
  if (config.joined)
    throw new Failure('conflict', 'cannot rotate: the users of this bus are made on the host that it is on')
  const release = await lockRoot(config, 'rotate')
  if (!release) throw new Failure('conflict', 'cannot rotate: another process is at it')
  try {
    await rotate(config, log)
  } finally {
    release()
  }
  return busRoles.map((role) => userOf(role, config.node))
}
