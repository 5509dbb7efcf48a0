import { mkdir } from 'node:fs/promises'
import type { Config } from '../../../shared/config.ts'
import { rememberNode } from '../../../shared/root-node.ts'
import { remark } from '../output/print.ts'
import { writeKeeper } from '../stack/deployment.ts'
import { writeNatsConfigurationAt } from '../stack/nats-configuration.ts'
import { servicesAnswer } from '../stack/services-answer.ts'
import { requireDeployable } from './checks.ts'
import { compose } from './compose-program.ts'
import { settingsOf } from './settings.ts'

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
  await rememberNode(config)
  await compose(words, ['build'], settings)
  await compose(words, ['up', '--detach', '--remove-orphans'], settings)
  await servicesAnswer(config, { verb: 'deploy', logs: 'docker compose logs' })
  remark(`ready: node ${config.node}, root ${config.root}, NATS at port ${port}; "npx dolly info" shows it`)
}
