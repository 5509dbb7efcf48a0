import { createServer } from 'node:net'
import { Failure } from '../../../shared/failure.ts'

/** Where the embedded server listens: nobody but this host reaches it. */
export const loopback = '127.0.0.1'

/** Port 0 asks the kernel for a free one. */
const bindable = async (port: number): Promise<number | undefined> => {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  server.once('error', () => resolve(undefined))
  server.listen(port, loopback, () => {
    const address = server.address()
    server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
  })
  return promise
}

/** Whether nothing listens on this port of loopback now. */
export const isFree = async (port: number): Promise<boolean> => (await bindable(port)) !== undefined

/** The first of the preferred ports that is free, else any free one. Throws `Failure` (`host_unfit`). */
export const freePort = async (preferred: number[]): Promise<number> => {
  for (const port of [...preferred, 0]) {
    const bound = await bindable(port)
    if (bound !== undefined) return bound
  }
  throw new Failure('host_unfit', `cannot find a free port on ${loopback}`)
}
