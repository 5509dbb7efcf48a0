import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'

/** A way to a server on which its answers can be held back, lost or cut off, and what was said to it is counted. */
export const wayTo = async (url: string, counted = '') => {
  let said = ''
  const held = { isHeld: false, release: () => {} }
  let end: string | undefined
  const sockets = new Set<Socket>()
  const disconnect = () => {
    for (const socket of sockets) socket.destroy()
  }
  const way = createServer((client) => {
    const server = connect(Number(new URL(url).port), new URL(url).hostname)
    client.on('data', (data) => (said += data.toString('latin1')))
    client.pipe(server)
    server.on('data', (data) => {
      if (held.isHeld) return void server.pause().unshift(data)
      const at = end === undefined ? -1 : data.indexOf(end)
      if (at === -1) return void client.write(data)
      end = undefined
      client.end(data.subarray(0, at))
    })
    held.release = () => server.resume()
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
      one.on('close', () => sockets.delete(one))
      sockets.add(one)
    }
  })
  way.listen(0, '127.0.0.1')
  await once(way, 'listening')
  return {
    url: `nats://127.0.0.1:${(way.address() as AddressInfo).port}`,
    count: () => said.split(`HPUB ${counted} `).length - 1,
    hold: () => void (held.isHeld = true),
    release: () => {
      held.isHeld = false
      held.release()
    },
    /** Ends all connections: what was held back is lost. */
    disconnect: () => {
      held.isHeld = false
      disconnect()
    },
    /** Ends one connection where the server is about to say this. */
    cutBefore: (text: string) => void (end = text),
    [Symbol.asyncDispose]: async () => {
      disconnect()
      await once(way.close(), 'close')
    },
  }
}
