import { connectBus } from '../../../../shared/bus.ts'
import type { Config } from '../../../../shared/config.ts'
import { Failure } from '../../../../shared/failure.ts'
import type { HostCheck } from '../../stack/host-checks.ts'
import { servicesOf } from '../../stack/project.ts'
import { noLog } from '../bus/session.ts'

const rounds = 10
/** A service that is slower to say that it is there is busy with something else. */
const promptMs = 50

/**
 * How long each service of this node takes to answer a ping, the slowest of ten: what its event loop lags. Nothing
 * when no stack runs.
 */
export const replyChecks = async (config: Config): Promise<HostCheck[]> => {
  const bus = await connectBus(config, { role: 'operator', log: noLog, patient: false }).catch(
    (error: unknown) => {
      if (error instanceof Failure) return undefined
      throw error
    },
  )
  if (!bus) return []
  const slowest = async (name: string): Promise<HostCheck> => {
    const check = { name: `scale: ${name} answers`, optional: true, wanted: `within ${promptMs} ms` }
    const here = (await bus.ping(name)).filter(({ metadata }) => metadata['node'] === config.node)
    if (here.length === 0) return { ...check, ok: false, found: 'not at all' }
    let most = 0
    for (let round = 0; round < rounds; round++) {
      const took = await Promise.all(here.map(({ id }) => bus.pingMs(name, id))).catch(() => undefined)
      // It was restarted meanwhile.
      if (!took) return { ...check, ok: false, found: 'not always' }
      most = Math.max(most, ...took)
    }
    return { ...check, ok: most <= promptMs, found: `within ${most.toFixed(1)} ms` }
  }
  try {
    return await Promise.all(servicesOf(config).map(slowest))
  } finally {
    await bus.close()
  }
}
