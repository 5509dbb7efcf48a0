import type { Config } from '../../../shared/config.ts'
import { remark } from '../output/print.ts'
import { Failure } from '../../../shared/failure.ts'
import { forgetKeeper, requireNoKeeper } from '../stack/deployment.ts'
import { releaseHost } from '../stack/release-host.ts'
import { runningSupervisor } from '../stack/stack-files.ts'
import { compose, findCompose, profiles } from './compose-program.ts'
import { settingsOf } from './settings.ts'

/**
 * Takes the stack's containers of Docker away; before, the services give the host back what they prepared, unless
 * containers of Dolly's need it: those go on. The root stays. Not deployed is success. Throws `Failure`.
 */
export const undeploy = async (config: Config, env: NodeJS.ProcessEnv = process.env): Promise<void> => {
  await requireNoKeeper(config, 'undeploy', 'Compose')
  if (await runningSupervisor(config))
    throw new Failure(
      'conflict',
      `cannot undeploy: "dolly up" runs the stack of ${config.root}; "dolly down" stops it`,
    )
  const { settings } = settingsOf(config, env)
  const { words } = await findCompose()
  const { containers, kept } = await releaseHost(config)
  if (containers.length > 0) remark(`containers that stay: ${containers.join(', ')}`)
  for (const reason of kept) remark(`cannot release ${reason}`)
  await compose(words, { parts: profiles, verb: ['down', '--remove-orphans'], env: settings })
  await forgetKeeper(config)
}
