import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { z } from 'zod'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Bus, connectBus } from '../../../shared/bus.ts'
import type { BusAccess, Config } from '../../../shared/config.ts'
import { JoinAnswer, type JoinRequest, type NodeKeys, nodeRoles } from '../../../shared/contracts/join.ts'
import { NodeName } from '../../../shared/contracts/identity.ts'
import { writeDurably } from '../../../shared/durable-file.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { type Joined, joinedCaFile, joinedFile } from '../../../shared/joined.ts'
import { names, stackTag } from '../../../shared/names.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { createRecorder } from '../../../shared/recorder.ts'
import { retrying } from '../../../shared/retry.ts'
import { requireSameNode } from '../../../shared/root-node.ts'
import { subjects } from '../../../shared/subjects.ts'
import { hostRanges } from '../../network/host-ranges.ts'
import { subnetText } from '../../network/subnet.ts'
import { noLog } from '../commands/bus/session.ts'
import { writeAccess } from '../stack/access-files.ts'
import { requireNoKeeper } from '../stack/deployment.ts'
import { nodeUserOf, tokenUserOf } from '../stack/nats-permissions.ts'
import { readStackInfo, runningSupervisor } from '../stack/stack-files.ts'
import { type Told, newKey, readToken } from './token.ts'

/** An answer that is lost is asked for again. */
const answerWithinMs = 5000
const mostMs = 30_000
const takenWithinMs = 10_000
const triedForMs = 1000

interface Asked {
  url: string
  node: string
  told: Told & { id: string }
}

/** Connects as another user than the root's files have; nothing of it stays on the host. */
const withUser = async <T>(
  config: Config,
  role: string,
  { url, users, ca }: BusAccess & { ca: string | undefined },
  act: (bus: Bus) => Promise<T>,
  options: { withinMs?: number } = {},
): Promise<T> => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-join-'))
  try {
    const [access, caFile] = [join(directory, 'access.json'), join(directory, 'ca.pem')]
    await writeFile(access, JSON.stringify({ url, users }), { mode: 0o600 })
    if (ca) await writeFile(caFile, ca)
    const natsTls = ca ? { ...config.natsTls, ca: caFile } : config.natsTls
    const as = { ...config, natsUrl: url, natsUser: undefined, natsAccess: access, natsTls }
    const bus = await connectBus(as, { role, log: noLog, patient: false, ...options })
    try {
      return await act(bus)
    } finally {
      await bus.close()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const refusal = (url: string, error: unknown): unknown => {
  if (!(error instanceof Failure)) return error
  if (error.code === 'not_permitted' && error.message.startsWith('cannot reach the bus'))
    return new Failure(
      'not_permitted',
      `the bus at ${url} does not know this token: it is wrong or long past`,
    )
  if (error.details['nobody'] === true)
    return new Failure(
      'unavailable',
      `nobody at ${url} lets hosts join: does the stack of the bus's host run, with DOLLY_NATS_LISTEN?`,
    )
  return error
}

const request = async (
  config: Config,
  { url, node, told }: Asked,
  keys: NodeKeys,
): Promise<z.infer<typeof JoinAnswer>> => {
  const { bridge } = names({ root: config.root, tag: stackTag(config.root, node) })
  const ranges = await hostRanges(createRecorder(), bridge)
  const body: JoinRequest = {
    node,
    keys,
    ranges: ranges.map(({ range }) => subnetText(range)),
    ...(config.subnet ? { subnet: config.subnet } : {}),
    now: new Date().toISOString(),
  }
  const users = { join: { user: tokenUserOf(told.id), seed: told.seed } }
  try {
    return await withUser(config, 'join', { url, users, ca: told.ca }, async (bus) =>
      JoinAnswer.parse(
        await retrying(() => bus.request(subjects.join(told.id), body, { timeoutMs: answerWithinMs }), {
          signal: AbortSignal.timeout(patienceMs(mostMs)),
          only: ({ code }) => code === 'timeout',
        }),
      ),
    )
  } catch (error) {
    throw refusal(url, error)
  }
}

/** Waits until the server lets the new users in: it reads them a moment after the answer. */
const isLetIn = (config: Config, access: BusAccess, ca: string | undefined): Promise<void> =>
  retrying(
    () =>
      withUser(config, 'operator', { ...access, ca }, async () => {}, { withinMs: triedForMs }).catch(
        (error: unknown) => {
          throw new Failure('unavailable', reasonOf(error), { cause: error })
        },
      ),
    { signal: AbortSignal.timeout(patienceMs(takenWithinMs)) },
  )

const requireFree = async (config: Config): Promise<void> => {
  await requireNoKeeper(config, 'join with')
  if ((await runningSupervisor(config)) ?? (await readStackInfo(config)))
    throw new Failure('conflict', `the stack of ${config.root} runs; "dolly down" stops it`)
}

/** The token's node, unless the host was told another. */
const nameOf = (config: Config, told: Told, wanted: string | undefined): string => {
  const node = wanted ?? told.node ?? config.node
  if (NodeName.safeParse(node).success) return node
  throw new Failure('invalid_message', `"${node}" is no node name: 1 to 32 of a-z, 0-9 and "-"`)
}

/**
 * Joins this host to the bus at the address: leases it a range of addresses, and writes the users that the bus has
 * for it, whose secrets are made here and leave it never. Throws `Failure`, with nothing changed on the host.
 */
export const joinHost = async (
  config: Config,
  { url, token, node: wanted }: { url: string; token: string; node?: string | undefined },
): Promise<Joined> => {
  const told = readToken(token)
  await requireFree(config)
  const made = Object.fromEntries(nodeRoles.map((role) => [role, newKey()]))
  const keys = Object.fromEntries(nodeRoles.map((role) => [role, made[role]!.publicKey])) as NodeKeys
  const name = nameOf(config, told, wanted)
  requireSameNode(config.root, name)
  const { node, subnet } = await request(config, { url, node: name, told }, keys)
  const users = Object.fromEntries(
    nodeRoles.map((role) => [role, { user: nodeUserOf(role, node), seed: made[role]!.seed }]),
  )
  // A client's commands and an operator's come from one user here.
  const access = { url, users: { ...users, client: users['operator']! } }
  await isLetIn(config, access, told.ca).catch((error: unknown) => {
    const reason = `${reasonOf(error)}; the bus has node ${node} now: "dolly node rm ${node}" there takes it out`
    throw new Failure('unavailable', reason, { cause: error })
  })
  await mkdir(config.names.networkState, { recursive: true, mode: 0o700 })
  await writeAccess(config, access)
  if (told.ca) await writeDurably(joinedCaFile(config.root), told.ca)
  await writeDurably(joinedFile(config.root), JSON.stringify({ node, url, subnet }, null, 2))
  return { node, url, subnet }
}
