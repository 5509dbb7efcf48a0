import { loadConfig, type Config } from '../../../../shared/config.ts'
import type { Bus } from '../../../../shared/bus.ts'
import type { Leak } from '../../../../shared/contracts/operations.ts'
import { verbs } from '../../../../shared/contracts/verbs.ts'
import { Failure } from '../../../../shared/failure.ts'
import { type Log } from '../../../../shared/log.ts'
import { createRecorder } from '../../../../shared/recorder.ts'
import type { HostServiceDefinition } from '../../../../shared/service.ts'
import { readStackInfo } from '../../stack/stack-files.ts'
import { ask } from '../bus/ask.ts'
import { withSession } from '../bus/session.ts'

const definitions = async (config: Config): Promise<HostServiceDefinition[]> => {
  const [{ storageService }, { cgroupService }, { networkService }, { namespaceService }] = await Promise.all(
    [
      import('../../../storage/service.ts'),
      import('../../../cgroup/service.ts'),
      import('../../../network/service.ts'),
      import('../../../namespace/service.ts'),
    ],
  )
  return [storageService, cgroupService, networkService, namespaceService].map((define) => define(config))
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

const askInProcess = async (
  config: Config,
  { endpoints }: HostServiceDefinition,
  verb: string,
  input: object,
) => {
  const endpoint = endpoints.find((candidate) => candidate.verb === verb)
  if (!endpoint) throw new Error(`no verb ${verb}`)
  return endpoint.handle(endpoint.input.parse(input) as never, {
    record: createRecorder(),
    log: noLog,
    config,
    bus: noBus,
  })
}

/**
 * What the host holds under the names of a stack that does not run: the services' own listings, called in
 * this process. Without the log, the containers that count are those whose init lives.
 */
const leaksWithoutStack = async (config: Config): Promise<Leak[]> => {
  const services = await definitions(config)
  const namespace = services.find(({ name }) => name === 'namespace')
  if (!namespace) throw new Error('no namespace service')
  const listings = await Promise.all(services.map((service) => askInProcess(config, service, 'objects', {})))
  const objects = listings.flatMap((listing) => (listing as { objects: Leak[] }).objects)
  const ids = [...new Set(objects.map(({ container }) => container).filter((id) => id !== null))]
  const states = await Promise.all(ids.map((id) => askInProcess(config, namespace, 'state', { id })))
  const living = new Set(
    ids.filter((_, index) =>
      ['created', 'running', 'paused'].includes((states[index] as { status: string }).status),
    ),
  )
  return objects.filter(({ container }) => (container === null ? living.size === 0 : !living.has(container)))
}

/** Every object under the stack's names that no living container owns. Throws `Failure`. */
export const findLeaks = async (config = loadConfig()): Promise<Leak[]> => {
  if (config.natsUrl || (await readStackInfo(config))) {
    return withSession(
      async ({ bus }) => (await ask(bus, verbs.leaks, {}, { timeoutMs: 60_000 })).leaks,
      config,
    )
  }
  return leaksWithoutStack(config)
}
