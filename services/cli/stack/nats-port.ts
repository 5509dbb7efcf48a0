import { createServer } from 'node:net'
import { Failure } from '../../../shared/failure.ts'

/** Where the embedded server listens: nobody but this host reaches it. */
export const loopback = '127.0.0.1'

/** Port 0 asks the kernel for a free one. */
const bindable = async (port: number, address: string): Promise<number | undefined> => {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  server.once('error', () => resolve(undefined))
  server.listen(port, address, () => {
    const bound = server.address()
    server.close(() => resolve(typeof bound === 'object' ? bound?.port : undefined))
  })
  return promise
}

/** Whether nothing listens on this port of the address now. */
export const isFree = async (port: number, address = loopback): Promise<boolean> =>
  (await bindable(port, address)) !== undefined

/** The first of the preferred ports that is free, else any free one. Throws `Failure` (`host_unfit`). */
export const freePort = async (preferred: number[], address = loopback): Promise<number> => {
  for (const port of [...preferred, 0]) {
    const bound = await bindable(port, address)
    if (bound !== undefined) return bound
  }
  throw new Failure('host_unfit', `cannot find a free port on ${address}`)
}
