import { type Socket, connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { serverName } from './nats-configuration.ts'
import { patienceMs } from '../../../shared/patience.ts'

const greetingOf = async (socket: Socket): Promise<{ server_name?: string }> => {
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('\r\n')) break
  }
  return JSON.parse(/^INFO (.*)\r\n/.exec(text)?.[1] ?? '{}')
}

/** The name with which the server at the address greets, or undefined when none does. */
export const greetingName = async (url: string): Promise<string | undefined> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  socket.setTimeout(1000, () => socket.destroy())
  try {
    return (await greetingOf(socket)).server_name
  } catch {
    return undefined // refused, closed or no NATS: whoever it is, it does not greet as a server
  } finally {
    socket.destroy()
  }
}

/** Waits until this stack's own server answers. Throws `Failure` (`timeout`) or whatever `ended` rejects with. */
export const natsAnswers = async (
  config: Config,
  { url, ended }: { url: string; ended: () => string | undefined },
): Promise<void> => {
  const deadline = performance.now() + patienceMs(15_000)
  while ((await greetingName(url)) !== serverName(config)) {
    const reason = ended()
    if (reason) throw new Failure('unavailable', `cannot start the NATS server: ${reason}`)
    if (performance.now() > deadline)
      throw new Failure(
        'timeout',
        `cannot start the NATS server: nothing answers as ${serverName(config)} at ${url}`,
      )
    await delay(10)
  }
}
