// oxlint-disable-next-line no-restricted-imports -- a client of a deployed stack needs NATS and nothing of ours
import { StringCodec, connect, headers } from 'nats'
import { type Config, busAccess } from '../../shared/config.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'
import { retrying } from '../../shared/retry.ts'
import { eventually } from '../helpers/stack.ts'

interface Event {
  type: string
  data: { pid?: number; reason?: string }
}

const text = StringCodec()

/** Any NATS client, as role `client`: it publishes commands and hears what came of them. */
export const plainClient = async (config: Config) => {
  const { url, user, password } = busAccess(config, 'client')
  const nats = await connect({ servers: url, user, pass: password, maxReconnectAttempts: -1 })
  const events = new Map<string, Event[]>()
  nats.subscribe('event.container.*', {
    callback: (_, { subject, data }) => {
      const id = subject.split('.')[2] ?? ''
      events.set(id, [...(events.get(id) ?? []), JSON.parse(text.decode(data)) as Event])
    },
  })
  const outcome = async (id: string, type: string): Promise<Event> => {
    const find = () => events.get(id)?.find((event) => event.type === type)
    await eventually(`${type} of ${id}`, () => find() !== undefined, 60_000)
    return find() ?? { type, data: {} }
  }
  /** Asks again when the bus is away: a command of the same message id is taken once. */
  const command = async (subject: string, id: string, message: object): Promise<void> => {
    const meta = headers()
    meta.set('Nats-Msg-Id', `${subject}-${id}`)
    const send = () =>
      nats
        .request(subject, JSON.stringify(message), { timeout: 5000, headers: meta })
        .catch((error: unknown) => {
          throw new Failure('unavailable', `no receipt: ${reasonOf(error)}`)
        })
    await retrying(send, { signal: AbortSignal.timeout(60_000) })
  }
  return {
    create: async (id: string, more: object = {}) => {
      const message = { id, image: 'busybox', command: ['sleep', '1000'], ...more }
      await command('container.create', id, message)
      return outcome(id, 'container.running')
    },
    remove: async (id: string) => {
      await command('container.delete', id, { id, force: true })
      return outcome(id, 'container.deleted')
    },
    [Symbol.asyncDispose]: () => nats.close(),
  }
}

export type PlainClient = Awaited<ReturnType<typeof plainClient>>
