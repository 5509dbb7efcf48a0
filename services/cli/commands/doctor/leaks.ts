import { existsSync } from 'node:fs'
import { everyObject } from '../../../../shared/object-pages.ts'
import { loadConfig, type Config } from '../../../../shared/config.ts'
import type { Bus } from '../../../../shared/bus.ts'
import type { Leak } from '../../../../shared/contracts/operations.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { type Log } from '../../../../shared/log.ts'
import { createRecorder } from '../../../../shared/recorder.ts'
import type { HostServiceDefinition } from '../../../../shared/service.ts'
import { bundlePaths } from '../../../namespace/bundle.ts'
import type { NamespaceHost } from '../../../namespace/host.ts'
import { keeperOf } from '../../stack/deployment.ts'
import { readStackInfo } from '../../stack/stack-files.ts'
import { ask } from '../bus/ask.ts'
import { withSession } from '../bus/session.ts'

const listingServices = async (config: Config): Promise<HostServiceDefinition[]> => {
  const [{ storageService }, { cgroupService }, { networkService }] = await Promise.all([
    import('../../../storage/service.ts'),
    import('../../../cgroup/service.ts'),
    import('../../../network/service.ts'),
  ])
  return [storageService, cgroupService, networkService].map((define) => define(config))
}

const noBus = new Proxy(
  {},
  {
    get: (_, name) => () =>
      Promise.reject(new Failure('unavailable', `the stack does not run: no bus to ${String(name)}`)),
  },
) as Bus
const ignore = () => {}
const noLog = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => noLog,
} as unknown as Log

const objectsOf = async (config: Config, { name, endpoints }: HostServiceDefinition): Promise<Leak[]> => {
  const listing = endpoints.find(({ verb }) => verb === 'objects')
  if (!listing) throw new Error(`${name} lists no objects`)
  const context = { record: createRecorder(), log: noLog, config, bus: noBus }
  return everyObject(
    async (page) =>
      (await listing.handle(listing.input.parse(page) as never, context)) as { objects: Leak[] },
  )
}

/** The namespace service's own listing, without what it readies the host with: a look must change nothing. */
const processObjects = async ({ names }: Config): Promise<Leak[]> => {
  if (!existsSync(names.bundles)) return []
  const { inventory } = await import('../../../namespace/inventory.ts')
  return inventory({ names } as NamespaceHost)
}

const isLiving = async ({ names }: Config, id: string): Promise<boolean> => {
  const { isAlive, readInit } = await import('../../../namespace/process-identity.ts')
  const init = readInit(bundlePaths(names.bundle(id)).pid)
  return init !== undefined && isAlive(init)
}

/**
 * What the host holds under the names of a stack that does not run: the services' own listings, made in
 * this process. Without the log, the containers that count are those whose init lives.
 */
const leaksWithoutStack = async (config: Config): Promise<Leak[]> => {
  const services = await listingServices(config)
  const listings = await Promise.all([
    ...services.map((service) => objectsOf(config, service)),
    processObjects(config),
  ])
  const objects = listings.flat()
  const ids = [...new Set(objects.flatMap(({ container }) => container ?? []))]
  const alive = await Promise.all(ids.map((id) => isLiving(config, id)))
  const living = new Set(ids.filter((_, index) => alive[index]))
  return objects.filter(({ container }) => (container === null ? living.size === 0 : !living.has(container)))
}

/** Every object under the stack's names that no living container owns, on this host or another. Throws `Failure`. */
export const findLeaks = async (
  config = loadConfig(),
  node?: string,
): Promise<(Leak & { ownership?: string | undefined })[]> => {
  const own = !config.natsUrl || config.joined
  if (own && !(await keeperOf(config)) && !(await readStackInfo(config))) return leaksWithoutStack(config)
  // Whoever is on no host of the fleet asks for that of the orchestrator that answers.
  const asked = node ?? (config.natsUrl && !config.joined ? undefined : config.node)
  const body = asked === undefined ? {} : { node: asked }
  return withSession(
    async ({ bus }) => (await ask(bus, verbs.leaks, body, { timeoutMs: 60_000 })).leaks,
    config,
  )
}
