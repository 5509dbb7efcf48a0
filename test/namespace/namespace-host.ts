import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bus } from '../../shared/bus.ts'
import { idsPerContainer } from '../../shared/config.ts'
import type { Operation } from '../../shared/contracts/contract.ts'
import { release } from '../../shared/contracts/operations.ts'
import { createLog } from '../../shared/log.ts'
import { defaultCapabilities, ociCapabilities } from '../../shared/capabilities.ts'
import { type TranscriptEntry, createRecorder } from '../../shared/recorder.ts'
import { createDispatcher } from '../../shared/service.ts'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { bundlePaths } from '../../services/namespace/bundle.ts'
import { namespaceService } from '../../services/namespace/service.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { userNamespaceFor } from '../helpers/user-namespace.ts'
import { makeBusyboxRoot } from './busybox-root.ts'

/** What a test may say of a container; the rest is a container as plain as can be. */
export interface ContainerWish {
  args?: string[]
  start?: boolean
  /** On a network of its own, without an interface; the host's otherwise. */
  ownNetwork?: boolean
  process?: Record<string, unknown>
  [key: string]: unknown
}

export interface Published {
  kind: string
  id: string
  type: string
  data: Record<string, unknown>
  messageId?: string
}

/** Valid input of the `namespace` step for a container on the host's network and in no cgroup of its own. */
export const containerInput = (
  rootfs: string,
  id: string,
  { args, start = true, process, ...rest }: ContainerWish = {},
) => ({
  id,
  hostname: 'dolly',
  process: {
    terminal: false,
    stdin: false,
    user: '',
    args: args ?? ['sleep', '1000'],
    env: [],
    rlimits: [],
    capabilities: ociCapabilities(defaultCapabilities),
    noNewPrivileges: true,
    ...process,
  },
  seccomp: 'default',
  readonlyRootfs: false,
  tmpfs: [],
  shmSizeBytes: 1 << 20,
  sysctls: {},
  extraHosts: [],
  stopSignal: '',
  rootfs,
  imageConfig: {},
  cgroupsPath: '',
  cgroupDirectories: [],
  start,
  networkNamespace: null,
  address: null,
  nameservers: ['192.0.2.53'],
  search: [],
  ...rest,
})

/** Of ranges that nobody leases: above the pool's default. */
const firstID = 2_181_038_080

/** The namespace service on the real kernel, with a bus that only remembers what was published. */
export const namespaceHost = async (
  env: Record<string, string> = {},
  /** What the acknowledgement of an event waits for. */
  acknowledged: (event: Published) => Promise<void> = () => Promise.resolve(),
) => {
  const { config, ...temporary } = await temporaryConfig(env)
  const published: Published[] = []
  const publishEvent = async (event: Published) => {
    published.push(event)
    await acknowledged(event)
  }
  const bus = { publishEvent } as unknown as Bus
  const base = { config, log: createLog({}, 'silent'), bus }
  const definition = namespaceService(config)
  await definition.prepare?.({ ...base, record: createRecorder() })
  const dispatch = createDispatcher(definition, base)
  const rootfs = await makeBusyboxRoot(join(config.root, 'rootfs'))
  const paths = (id: string) => bundlePaths(config.names.bundle(id))
  let transcript: TranscriptEntry[] = []

  const send = async (verb: string, body: unknown): Promise<unknown> => {
    const outcome = await dispatch(verb, body)
    if ('plain' in outcome) return outcome.plain
    transcript = outcome.transcript
    if ('failure' in outcome) throw outcome.failure
    return outcome.output
  }
  const request = async <O extends Operation>(operation: O, body: unknown) =>
    operation.output.parse(await send(operation.verb, body)) as ReturnType<O['output']['parse']>
  const input = (id: string, wish?: ContainerWish) => containerInput(rootfs, id, wish)
  const undo = (id: string) => send('undo', input(id))
  const users = new Map<string, Awaited<ReturnType<typeof userNamespaceFor>>>()
  /** A user namespace for each container unless its wish says something of it, on the host's network. */
  const userOf = async (id: string, wish: ContainerWish = {}) => {
    if ('userNamespace' in wish) return {}
    const hostID = firstID + users.size * idsPerContainer
    const user = users.get(id) ?? (await userNamespaceFor(config, id, hostID))
    users.set(id, user)
    return {
      userNamespace: user.userNamespace,
      networkNamespace: wish['ownNetwork'] ? user.networkNamespace : null,
    }
  }

  return {
    config,
    rootfs,
    published,
    paths,
    send,
    request,
    input,
    undo,
    lastTranscript: () => transcript,
    make: async (id: string, wish?: ContainerWish) =>
      (await send('do', input(id, { ...(await userOf(id, wish)), ...wish }))) as {
        pid: number
        startedAt: string
      },
    /** What the container has written to standard output and error so far. */
    output: (id: string) => logText(paths(id).log),
    state: (id: string) => send('state', { id }) as Promise<Record<string, unknown>>,
    /** Waits until init has ended and answers its exit code. */
    exitCode: async (id: string): Promise<number | undefined> => {
      for (let tries = 0; tries < 2000; tries++) {
        const state = (await send('state', { id })) as { status: string; exitCode?: number }
        if (state.status === 'stopped' && state.exitCode !== undefined) return state.exitCode
        await waitFor(() => undefined, 5)
      }
      return undefined
    },
    watch: (signal: AbortSignal) => definition.watch?.({ ...base, record: createRecorder() }, signal),
    [Symbol.asyncDispose]: async () => {
      await mkdir(config.names.bundles, { recursive: true })
      for (const id of readdirSync(config.names.bundles)) await undo(id)
      await rm(config.names.exits, { recursive: true, force: true })
      await mkdir(config.names.exits)
      await request(release.namespace, {})
      for (const user of users.values()) await user[Symbol.asyncDispose]()
      await temporary[Symbol.asyncDispose]()
    },
  }
}
export type NamespaceTestHost = Awaited<ReturnType<typeof namespaceHost>>

/** The text of a log in CRI format: time, stream, F or P (no newline follows), text. */
export const logText = (file: string): string =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const [, , flag, ...words] = line.split(' ')
          return words.join(' ') + (flag === 'F' ? '\n' : '')
        })
        .join('')
    : ''
