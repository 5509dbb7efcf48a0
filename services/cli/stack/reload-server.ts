import type { Config } from '../../../shared/config.ts'
import { runningServers } from './orphans.ts'
import { signalIfAlive } from './process-table.ts'

/**
 * Has this stack's own server read its configuration again, whoever keeps it running; it lets go of those whose
 * password or key is no more. Answers whether there is one.
 */
export const reloadServer = async (config: Config): Promise<boolean> => {
  const servers = await runningServers(config)
  for (const server of servers) await signalIfAlive(server, 'SIGHUP')
  return servers.length > 0
}
