import { mkdir } from 'node:fs/promises'
import { type Config, busAccess } from '../../../shared/config.ts'
import { rememberNode } from '../../../shared/root-node.ts'
import { letsJoin } from '../join/lets-join.ts'
import { remark } from '../output/print.ts'
import { writeKeeper } from '../stack/deployment.ts'
import { writeNatsConfigurationAt } from '../stack/nats-configuration.ts'
import { reloadServer } from '../stack/reload-server.ts'
import { servicesAnswer } from '../stack/services-answer.ts'
import { requireDeployable } from './checks.ts'
import { type Profile, compose } from './compose-program.ts'
import { settingsOf } from './settings.ts'

const partsOf = async (config: Config): Promise<Profile[]> => {
  if (config.joined) return ['node']
  return (await letsJoin(config)) ? ['single', 'fleet'] : ['single']
}

/**
 * Brings this host's stack up by Compose and resolves when every service answers: all of it, or the host services
 * where the host has joined a bus elsewhere. One that runs is brought to what the Compose file and the image say
 * now. Throws `Failure` before anything is changed when the host is not fit.
 */
export const deploy = async (config: Config, env: NodeJS.ProcessEnv = process.env): Promise<void> => {
  const { port, settings } = settingsOf(config, env)
  const { words, version, engine } = await requireDeployable(config, port)
  remark(`Docker ${engine}, Compose ${version}`)
  await mkdir(config.names.networkState, { recursive: true, mode: 0o700 })
  if (!config.joined) {
    await writeNatsConfigurationAt(config, port)
    // One that runs stays if Compose has no reason to make it anew, and an upgrade may have new users.
    await reloadServer(config)
  }
  await writeKeeper(config, 'Compose')
  await rememberNode(config)
  const parts = await partsOf(config)
  await compose(words, { parts, verb: ['build'], env: settings })
  await compose(words, { parts, verb: ['up', '--detach', '--remove-orphans'], env: settings })
  await servicesAnswer(config, { verb: 'deploy', logs: 'docker compose logs' })
  const { url } = busAccess(config, 'operator')
  remark(`ready: node ${config.node}, root ${config.root}, NATS at ${url}; "npx dolly info" shows it`)
}
