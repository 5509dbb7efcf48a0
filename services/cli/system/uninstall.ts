import type { Config } from '../../../shared/config.ts'
import { run } from '../../../shared/recorder.ts'
import { remark } from '../output/print.ts'
import { forgetKeeper, keeperOf, requireNoKeeper } from '../stack/deployment.ts'
import { releaseHost } from '../stack/release-host.ts'
import { requireSystemd } from './install.ts'
import { removeUnits, requireOwnUnits, target, unitsThere } from './units.ts'

/**
 * Stops the stack's units and takes them away; before, the services give the host back what they prepared, unless
 * containers need it: those go on. The root stays. Not installed is success. Throws `Failure`.
 */
export const uninstall = async (config: Config): Promise<void> => {
  requireSystemd('uninstall')
  await requireNoKeeper(config, 'uninstall', 'systemd')
  requireOwnUnits(config, 'uninstall')
  if ((await keeperOf(config)) === 'systemd') {
    const { containers, kept } = await releaseHost(config)
    if (containers.length > 0) remark(`containers that stay: ${containers.join(', ')}`)
    else for (const reason of kept) remark(`cannot release ${reason}`)
  }
  const there = unitsThere()
  if (there.length > 0) {
    await run('systemctl', ['disable', '--quiet', '--now', target], { timeoutMs: 120_000 })
    await removeUnits(there)
    await run('systemctl', ['daemon-reload'])
  }
  await forgetKeeper(config)
}
