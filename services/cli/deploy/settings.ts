import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { usualPort } from '../stack/nats-configuration.ts'
import { loopback } from '../stack/nats-port.ts'
import { projectDirectory } from '../stack/project.ts'

const file = join(projectDirectory, 'deploy/.env')

/** Reads the settings of a deployment beside its Compose file into the environment, which wins, as it does for Compose. */
export const loadSettings = (): void => {
  if (existsSync(file)) process.loadEnvFile(file)
}

const portOf = (text: string): number => {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new Failure('invalid_message', `cannot use DOLLY_NATS_PORT "${text}": give a port as "${usualPort}"`)
}

/** What the Compose file has to be told so that it and this program mean the same stack. */
export const settingsOf = (config: Config, env: NodeJS.ProcessEnv) => {
  const { root, node, subnet, natsListen = loopback, allowPrivileged } = config
  const port = portOf(env['DOLLY_NATS_PORT'] || String(usualPort))
  const settings = {
    DOLLY_ROOT: root,
    DOLLY_NODE: node,
    DOLLY_NATS_LISTEN: natsListen,
    DOLLY_NATS_PORT: String(port),
    // What the host was told when it joined, a service in Docker does not see.
    ...(subnet ? { DOLLY_SUBNET: subnet } : {}),
    ...(allowPrivileged ? { DOLLY_NAMESPACE_CAPABILITY: 'ALL' } : {}),
  }
  return { port, settings }
}
