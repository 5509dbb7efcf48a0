import { mkdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connectBus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { noLog } from '../commands/bus/session.ts'
import { remark } from '../output/print.ts'
import { writeKeeper } from '../stack/deployment.ts'
import { writeNatsConfigurationAt } from '../stack/nats-configuration.ts'
import { serviceNames } from '../stack/project.ts'
import { requireDeployable } from './checks.ts'
import { compose } from './compose-program.ts'
import { settingsOf } from './settings.ts'

const readyWithinMs = 120_000

/** Waits until a service of each kind answers on this node. Throws `Failure` (`timeout`) that names those that do not. */
const servicesAnswer = async (config: Config): Promise<void> => {
  const bus = await connectBus(config, { role: 'operator', log: noLog })
  const deadline = performance.now() + patienceMs(readyWithinMs)
  const isThere = async (name: string) =>
    (await bus.ping(name)).some(({ metadata }) => metadata['node'] === config.node)
  try {
    for (;;) {
      const there = await Promise.all(serviceNames.map(isThere))
      const missing = serviceNames.filter((_, index) => !there[index])
      if (missing.length === 0) return
      if (performance.now() > deadline)
        throw new Failure(
          'timeout',
          `cannot deploy: no answer of ${missing.join(', ')} within ${readyWithinMs / 1000} s; "docker compose logs" says why`,
        )
      await delay(100)
    }
  } finally {
    await bus.close()
  }
}

/**
 * Brings this host's stack up by Compose and resolves when every service answers; one that runs is brought to what
 * the Compose file and the image say now. Throws `Failure` before anything is changed when the host is not fit.
 */
export const deploy = async (config: Config, env: NodeJS.ProcessEnv = process.env): Promise<void> => {
  const { port, settings } = settingsOf(config, env)
  const { words, version, engine } = await requireDeployable(config, port)
  remark(`Docker ${engine}, Compose ${version}`)
  await mkdir(config.names.networkState, { recursive: true, mode: 0o700 })
  await writeNatsConfigurationAt(config, port)
  await writeKeeper(config, 'Compose')
  await compose(words, ['build'], settings)
  await compose(words, ['up', '--detach', '--remove-orphans'], settings)
  await servicesAnswer(config)
  remark(`ready: node ${config.node}, root ${config.root}, NATS at port ${port}; "npx dolly info" shows it`)
}
