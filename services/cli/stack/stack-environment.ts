import { join } from 'node:path'
import { type Config, idsPerContainer } from '../../../shared/config.ts'
import { nodeEnvironment } from '../../../shared/node-settings.ts'
import { projectDirectory } from './project.ts'

/** The environment from which a program of the stack loads the same configuration; nothing when a value is not set. */
export const environmentOf = (config: Config): NodeJS.ProcessEnv => ({
  ...process.env,
  DOLLY_ROOT: config.root,
  DOLLY_NODE: config.node,
  DOLLY_NATS_URL: config.natsUrl ?? '',
  DOLLY_NATS_LISTEN: config.natsListen ?? '',
  DOLLY_NATS_USER: config.natsUser ?? '',
  DOLLY_NATS_PASSWORD: config.natsPassword ?? '',
  DOLLY_NATS_ACCESS: config.natsAccess ?? '',
  DOLLY_NATS_CA: config.natsTls.ca ?? '',
  DOLLY_NATS_CERT: config.natsTls.cert ?? '',
  DOLLY_NATS_KEY: config.natsTls.key ?? '',
  DOLLY_NATS_SERVER_CERT: config.natsTls.serverCert ?? '',
  DOLLY_NATS_SERVER_KEY: config.natsTls.serverKey ?? '',
  DOLLY_NATS_CLIENT_CA: config.natsTls.clientCa ?? '',
  DOLLY_LOG_LEVEL: config.logLevel,
  ...nodeEnvironment(config.host),
  DOLLY_COWFS_SIZE: String(config.cowfsSizeBytes),
  DOLLY_ROOT_SIZE: String(config.rootSizeBytes),
  DOLLY_COWFS: config.cowfsDirectory ?? '',
  DOLLY_SUBNET: config.subnet ?? '',
  DOLLY_ICC: config.icc ? '' : 'off',
  DOLLY_ACK_WAIT_MS: String(config.ackWaitMs),
  DOLLY_ID_POOL: `${config.idPool.first}:${config.idPool.count * idsPerContainer}`,
  DOLLY_ALLOW_PRIVILEGED: config.allowPrivileged ? 'on' : '',
  DOLLY_BIND_ALLOW: config.bindAllow.join(':'),
  DOLLY_MAX_LAUNCHES: String(config.maxLaunches),
  DOLLY_COUNT_LIMITS: config.countLimits ? 'on' : '',
  DOLLY_FAULT_INJECTION: config.faultInjection ? 'on' : '',
  DOLLY_RECONCILE_MS: String(config.reconcileMs),
  DOLLY_EVENTS_MAX_BYTES: String(config.eventsMaxBytes),
  // Compiled once, loaded by every start after it.
  NODE_COMPILE_CACHE: join(projectDirectory, '.cache/node'),
})

/**
 * Node's options for programs that allocate little: a young generation of 1 MiB takes 20 MB less memory in each.
 * One thread collects it: on a busy host it would wait for the others, up to 60 ms on one of two processors.
 */
export const leanMemory = ['--max-semi-space-size=1', '--no-parallel-scavenge']

/** For those that launches keep busy: at 1 MiB most of what is young survives, and collections took a quarter of their time. */
const busyMemory = ['--max-semi-space-size=8', '--min-semi-space-size=8', '--no-parallel-scavenge']
const busy = new Set(['namespace', 'orchestrator'])

/** Node's options for a service. */
export const memoryOptions = (service: string): readonly string[] =>
  busy.has(service) ? busyMemory : leanMemory
