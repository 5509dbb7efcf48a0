import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import type { Log } from '../../../shared/log.ts'
import { type KeptProgram, keepRunning } from './keep-running.ts'
import { findNatsServer } from './nats-binary.ts'
import { natsFiles, writeNatsConfiguration } from './nats-configuration.ts'
import { isFree } from './nats-port.ts'
import { natsAnswers } from './nats-server.ts'
import { confined } from './service-privileges.ts'

// Between the look for a free port and the server's start another program may take it.
const maxTries = 3

/** Go's idle threads look for work before they sleep: on a host of two processors that takes a third more of them. */
const processors = Math.max(1, Math.floor(availableParallelism() / 2))

/**
 * Under SCHED_BATCH, sched(7): a message wakes the server, and it does not take the processor from the sender, which
 * has more to send. chrt(1) becomes the program: no process more.
 */
const unhurried = ({ command, args }: ReturnType<typeof confined>) => ({
  command: '/usr/bin/chrt',
  args: ['--batch', '0', command, ...args],
})

export interface NatsServerOptions {
  log: Log
  onChange?: () => void
  /** The servers to choose from. */
  candidates?: readonly string[]
}

/** Starts the embedded server of a stack and resolves when it answers. Throws `Failure` (`host_unfit`, `unavailable`, `timeout`). */
export const startNatsServer = async (
  config: Config,
  { log, onChange = () => {}, candidates }: NatsServerOptions,
): Promise<{ server: KeptProgram; url: string; version: string }> => {
  const { path, version } = await findNatsServer(candidates)
  for (let tries = 1; ; tries++) {
    const { url } = await writeNatsConfiguration(config, { anyPort: tries > 1 })
    const server = keepRunning(
      {
        name: 'nats-server',
        ...unhurried(confined(config, 'nats-server', path, ['-c', natsFiles(config).configuration])),
        cwd: config.root,
        env: { GOMAXPROCS: String(processors), ...process.env },
        logFile: join(config.names.logs, 'nats-server.log'),
      },
      { log, onChange },
    )
    try {
      await natsAnswers(config, { url, ended: server.lastExit })
      return { server, url, version }
    } catch (error) {
      await server.stop()
      const { port, hostname } = new URL(url)
      // Another port helps where this one is taken, and nowhere else.
      if (tries === maxTries || (await isFree(Number(port), hostname))) throw error
    }
  }
}
