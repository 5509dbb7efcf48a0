import type { Config } from '../../../shared/config.ts'
import { natsFiles } from './nats-configuration.ts'
import { type ProcessIdentity, endProcess, findProcesses } from './process-table.ts'
import { serviceNames } from './project.ts'

const main = new RegExp(`(?:^|/)services/(?:${serviceNames.join('|')})/main\\.ts$`)

/** What runs a service, or becomes what does. An editor may have the same file open. */
const runner = /(?:^|\/)(?:node|setpriv|chrt)$/

/** The stack's own NATS servers: one, or none. */
export const runningServers = (config: Config) =>
  findProcesses((args) => args[args.indexOf(natsFiles(config).configuration) - 1] === '-c')

const services = (config: Config) =>
  findProcesses(
    ([program = '', ...args]) => runner.test(program) && args.some((arg) => main.test(arg)),
    [`DOLLY_ROOT=${config.root}`],
  )

const endAll = (processes: ProcessIdentity[]) => Promise.all(processes.map((one) => endProcess(one, 10_000)))

/**
 * Ends the services and the NATS server that a killed supervisor of this root left running, the bus
 * last. They are known by what they were started with, not by a list of pids. Answers how many.
 */
export const endOrphans = async (config: Config): Promise<number> => {
  const endedServices = await endAll(await services(config))
  const endedServers = await endAll(await runningServers(config))
  return endedServices.length + endedServers.length
}

/** Whether the stack's own NATS server runs, under a supervisor or left by one. */
export const natsRuns = async (config: Config): Promise<boolean> => (await runningServers(config)).length > 0
