import { availableParallelism, freemem, totalmem } from 'node:os'
import type { Config } from '../../shared/config.ts'
import type { NodeFacts } from '../../shared/contracts/node.ts'
import type { CgroupHost } from './host.ts'

/** What the host can be divided into, all of it unless the configuration says less. */
export const hostFacts = ({ host: settings }: Config, host: CgroupHost): NodeFacts => {
  const controllersOf = (wanted: 1 | 2) =>
    host
      .hierarchies()
      .filter(({ version }) => version === wanted)
      .flatMap(({ controllers }) => [...controllers])
  const [v1, v2] = [controllersOf(1), controllersOf(2)]
  return {
    capacity: {
      cpus: settings.cpus ?? availableParallelism(),
      memory: settings.memoryBytes ?? totalmem(),
    },
    use: { memory: totalmem() - freemem() },
    features: { cgroup: v1.length === 0 ? 'v2' : v2.length === 0 ? 'v1' : 'hybrid' },
  }
}
