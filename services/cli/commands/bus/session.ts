import { setTimeout as delay } from 'node:timers/promises'
import { type Bus, connectBus } from '../../../../shared/bus.ts'
import { type Config, loadConfig } from '../../../../shared/config.ts'
import { Failure } from '../../../../shared/failure.ts'
import type { Log } from '../../../../shared/log.ts'

const ignore = () => {}
/** A command line has no log for reconnections; loading pino to write to none would cost each command 12 ms. */
export const noLog = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  fatal: ignore,
} as unknown as Log

const reloadedWithinMs = 250

/** What a command works with: the stack it belongs to and a connection as its operator. */
export interface Session {
  config: Config
  bus: Bus
}

/** Connects as the operator of the stack that the environment names. Throws `Failure` (`unavailable`) when it is down. */
export const connectOperator = async (config: Config): Promise<Bus> => {
  const connect = () => connectBus(config, { role: 'operator', log: noLog, patient: false })
  try {
    return await connect().catch(async (error: unknown) => {
      if (!(error instanceof Failure) || error.code !== 'not_permitted') throw error
      // A server that is reading its users anew knows none of them for a moment.
      await delay(reloadedWithinMs)
      return connect()
    })
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'unavailable' || error.message.includes('dolly up'))
      throw error
    throw new Failure('unavailable', `${error.message}; does the stack run? "dolly up" starts it`, {
      cause: error,
    })
  }
}

/** Runs `act` with a connection and closes it whatever comes. */
export const withSession = <T>(act: (session: Session) => Promise<T>, config = loadConfig()): Promise<T> =>
  withSessionAnd(
    async () => undefined,
    (session) => act(session),
    config,
  )

/**
 * The same, and what `act` needs besides is made while the connection is, since loading a contract takes as
 * long; what is wrong with it is told before what is wrong with the connection.
 */
export const withSessionAnd = async <P, T>(
  prepare: () => Promise<P>,
  act: (session: Session, prepared: P) => Promise<T>,
  config = loadConfig(),
): Promise<T> => {
  const [connected, prepared] = await Promise.allSettled([connectOperator(config), prepare()])
  try {
    if (prepared.status === 'rejected') throw prepared.reason
    if (connected.status === 'rejected') throw connected.reason
    return await act({ config, bus: connected.value }, prepared.value)
  } finally {
    if (connected.status === 'fulfilled') await connected.value.close()
  }
}
