import { isDeepStrictEqual } from 'node:util'
import type { Bus } from '../../../shared/bus.ts'
import type { Config } from '../../../shared/config.ts'
import { ForgetRequest, JoinAnswer, JoinRequest, RoleRequest } from '../../../shared/contracts/join.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { createKeyedQueue } from '../../../shared/keyed-queue.ts'
import type { Log } from '../../../shared/log.ts'
import { operating } from '../../../shared/operating.ts'
import { subjects } from '../../../shared/subjects.ts'
import { type Outcome, parseInput } from '../../../shared/wire.ts'
import { changeFleet } from './change-fleet.ts'
import { type Token, readFleet } from './fleet.ts'
import { leaseSubnet, leasedSubnet, releaseSubnet } from './subnet-leases.ts'

/** An answer is on its way to the server for less than this. */
const answeredWithinMs = 100
/** Events of hosts whose clocks are further apart cannot be put in order. */
const mostApartMs = 60_000

const requireToken = (token: Token | undefined, node: string): Token => {
  const refuse = (reason: string): never => {
    throw new Failure('not_permitted', `${reason}; "dolly node token" on the bus's host makes another`)
  }
  if (!token) return refuse('the bus does not know this token')
  if (token.usedBy) return refuse(`the token was used by node ${token.usedBy}`)
  if (Date.parse(token.expiresAt) < Date.now()) return refuse(`the token expired at ${token.expiresAt}`)
  if (token.node && token.node !== node) return refuse(`the token is for node ${token.node}, not ${node}`)
  return token
}

const requireSameTime = (now: string): void => {
  const apartMs = Date.parse(now) - Date.now()
  if (Math.abs(apartMs) <= mostApartMs) return
  const way = apartMs > 0 ? 'ahead of' : 'behind'
  throw new Failure(
    'host_unfit',
    `its clock is ${Math.round(Math.abs(apartMs) / 1000)} s ${way} the bus's host's, ${mostApartMs / 1000} s is the most; set it right`,
  )
}

const outcomeOf = async (act: () => Promise<object>): Promise<Outcome> => {
  try {
    return { plain: await operating('change the fleet', act) }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { failure: error, transcript: [] }
  }
}

/**
 * Lets hosts join and forgets them, where the server's configuration is: each gets users for exactly its own
 * services, and a range of addresses. It runs beside the server; a second one changes nothing.
 */
export const serveRegistrar = async (config: Config, bus: Bus, log: Log): Promise<void> => {
  const bucket = await bus.bucket('nodes')
  const queue = createKeyedQueue()

  const tell = async (type: string, node: string, data: object): Promise<void> => {
    const messageId = `${node}:${type}:${Date.now()}`
    await bus.publishEvent({ kind: 'node', id: node, type, messageId, data: { node, ...data } })
  }

  /** Once the answer has left, which the reload would lose. */
  const reloadSoon = ({ reload }: { reload: () => Promise<void> }): void => {
    const tellServer = () =>
      reload().catch((error: unknown) => log.error({ reason: reasonOf(error) }, 'the server was not told'))
    setTimeout(() => void tellServer(), answeredWithinMs)
  }

  const join = async (tokenId: string, body: unknown): Promise<object> => {
    const { node, keys, ranges, subnet: wanted, now } = parseInput(JoinRequest, body)
    const find = (tokens: readonly Token[]) => tokens.find(({ id }) => id === tokenId)
    const before = await readFleet(config)
    const token = find(before.tokens)
    // Asked again, since the answer was lost: by the same host, which alone has the keys.
    const leased = token?.usedBy === node && isDeepStrictEqual(before.nodes[node], keys)
    if (leased) {
      const subnet =
        (await leasedSubnet(bucket, node)) ?? (await leaseSubnet(bucket, { node, ranges, subnet: wanted }))
      // The server may never have been told.
      reloadSoon(await changeFleet(config, (same) => same))
      return JoinAnswer.parse({ node, subnet })
    }
    requireToken(token, node)
    requireSameTime(now)
    const subnet = await leaseSubnet(bucket, { node, ranges, subnet: wanted })
    try {
      const changed = await changeFleet(config, ({ nodes, tokens, ...rest }) => {
        const used = requireToken(find(tokens), node)
        const others = tokens.filter((one) => one !== used)
        return { ...rest, nodes: { ...nodes, [node]: keys }, tokens: [...others, { ...used, usedBy: node }] }
      })
      reloadSoon(changed)
    } catch (error) {
      if (!(node in (await readFleet(config)).nodes)) await releaseSubnet(bucket, node)
      throw error
    }
    log.info({ node, subnet }, 'node joined')
    await tell('node.joined', node, { subnet }).catch((error: unknown) =>
      log.warn({ reason: reasonOf(error) }, 'joining not told'),
    )
    return JoinAnswer.parse({ node, subnet })
  }

  const forget = async (body: unknown): Promise<object> => {
    const { node } = parseInput(ForgetRequest, body)
    if (node === config.node)
      throw new Failure('conflict', `node ${node} is the bus's own host: "dolly down" stops it`)
    const known = node in (await readFleet(config)).nodes || (await leasedSubnet(bucket, node)) !== undefined
    if (!known) throw new Failure('not_found', `no such node: ${node}`)
    const changed = await changeFleet(config, ({ nodes, tokens, operators }) => ({
      nodes: Object.fromEntries(Object.entries(nodes).filter(([name]) => name !== node)),
      tokens: tokens.filter(({ usedBy }) => usedBy !== node),
      operators: operators.filter((name) => name !== node),
    }))
    reloadSoon(changed)
    await releaseSubnet(bucket, node)
    await tell('node.removed', node, {})
    return {}
  }

  const giveRole = async (body: unknown): Promise<object> => {
    const { node, role } = parseInput(RoleRequest, body)
    const { nodes, operators: before } = await readFleet(config)
    if (!(node in nodes)) throw new Failure('not_found', `no node ${node} has joined`)
    if (before.includes(node) === (role === 'operator')) return {}
    const changed = await changeFleet(config, ({ operators, ...rest }) => {
      const others = operators.filter((name) => name !== node)
      return { ...rest, operators: role === 'operator' ? [...others, node] : others }
    })
    reloadSoon(changed)
    await tell(role === 'operator' ? 'node.promoted' : 'node.demoted', node, {})
    return {}
  }

  await bus.serve({
    name: 'registrar',
    description: 'Lets hosts join the bus, and forgets them',
    metadata: { node: config.node, root: config.root, pid: String(process.pid) },
    endpoints: [
      {
        name: 'join',
        subject: subjects.join('*'),
        handle: (body, _, subject) =>
          outcomeOf(() => queue.run('fleet', () => join(subject.split('.')[2] ?? '', body))),
      },
      {
        name: 'forget',
        subject: subjects.forget,
        handle: (body) => outcomeOf(() => queue.run('fleet', () => forget(body))),
      },
      {
        name: 'role',
        subject: subjects.nodeRole,
        handle: (body) => outcomeOf(() => queue.run('fleet', () => giveRole(body))),
      },
    ],
  })
}
