import { environmentOf, program } from '../cli/dolly.ts'
import type { Stack } from '../helpers/stack.ts'
import type { DollyClient } from './dolly-client.ts'
import { timed } from './commands.ts'
import { type Launcher, limits } from './launcher.ts'

/** Dolly as any client of its bus sees it: publish to `container.running`, publish to `container.deleted`. */
export const dolly = (stack: Stack, client: DollyClient): Launcher => {
  // The peers' environment is plain as well. These certificates, which nothing here uses, Node reads at each start.
  const { NODE_EXTRA_CA_CERTS: _, ...environment }: NodeJS.ProcessEnv = environmentOf(stack)
  return {
    name: 'dolly',
    version: client.bus.info().version ? `nats-server ${client.bus.info().version}` : '',
    note: 'network, limits, snapshot, journal synced to disk',
    create: (id) => client.create({ id, mem_limit: `${limits.memoryBytes}`, pids_limit: limits.pids }),
    remove: (id) => client.remove(id),
    exec: (id) => client.exec(id, ['true']),
    runOnce: () => timed(program, ['run', '--rm', '--quiet', 'busybox', 'true'], environment),
    [Symbol.asyncDispose]: async () => undefined,
  }
}
