import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { objects, release } from '../../shared/contracts/operations.ts'
import { network } from '../../shared/contracts/steps.ts'
import { run } from '../../shared/recorder.ts'
import { networkService } from '../../services/network/service.ts'
import { hostService, temporaryConfig } from '../helpers/host.ts'

/** A valid input of the network step. */
export const inputOf = (id: string, networkMode = 'bridge') => ({
  id,
  networkMode,
  dns: [] as string[],
  dnsSearch: [] as string[],
})

/** A network service of its own stack on this host; disposing removes all it made. */
export const networkStack = async (
  env: Record<string, string> = {},
  options: Parameters<typeof networkService>[1] = {},
) => {
  const temporary = await temporaryConfig(env)
  const { config } = temporary
  const service = await hostService(config, networkService(config, options))
  const listed = async () => (await service.request(objects.network, {})).objects
  return {
    config,
    ...service,
    connect: async (id: string, mode?: string) =>
      network.output.parse(await service.send('do', inputOf(id, mode))),
    disconnect: (id: string) => service.send('undo', inputOf(id)),
    listed,
    /** The same stack's service as after a restart. */
    restart: () => hostService(config, networkService(config, options)),
    [Symbol.asyncDispose]: async () => {
      for (const id of new Set((await listed()).flatMap(({ container }) => container ?? []))) {
        await service.send('detach', { id })
        await service.send('undo', inputOf(id))
      }
      await service.request(release.network, {})
      await temporary[Symbol.asyncDispose]()
    },
  }
}

export type NetworkStack = Awaited<ReturnType<typeof networkStack>>

const Links = z.array(
  z.object({
    ifname: z.string(),
    flags: z.array(z.string()),
    addr_info: z.array(z.object({ family: z.string(), local: z.string(), prefixlen: z.number() })),
  }),
)
const Routes = z.array(z.object({ dst: z.string(), gateway: z.string().optional(), dev: z.string() }))

/** Interfaces that are up with their IPv4 addresses, and IPv4 routes, as the kernel shows them inside the namespace that `enter` enters. */
export const kernelView = async (enter: string[]) => {
  const ask = async (...words: string[]): Promise<unknown> => {
    const [file = 'ip', ...args] = [...enter, 'ip', '-j', '-4', ...words]
    return JSON.parse((await run(file, args)) || '[]')
  }
  const links = Links.parse(((await ask('address')) as object[]).filter((link) => 'ifname' in link))
  const routes = Routes.parse(await ask('route'))
  return {
    addresses: links
      .filter(({ flags }) => flags.includes('UP'))
      .flatMap(({ ifname, addr_info }) =>
        addr_info.map(({ local, prefixlen }) => `${ifname} ${local}/${prefixlen}`),
      ),
    routes: routes.map(({ dst, gateway, dev }) =>
      gateway ? `${dst} via ${gateway} dev ${dev}` : `${dst} dev ${dev}`,
    ),
  }
}

/** How to run a program inside a named network namespace. */
export const inside = (path: string | null): string[] => ['nsenter', `--net=${path}`]

/** Resolves when the address answers from inside the namespace; rejects after three seconds: a look for it that was lost is repeated after one. */
export const ping = async (enter: string[], address: string): Promise<void> => {
  const [file = '', ...args] = [...enter, 'busybox', 'ping', '-c', '1', '-W', '3', address]
  await run(file, args)
}

/** The container's named namespace, host interface and lease, read from the kernel and the disk. */
export const tracesOf = ({ config: { names } }: NetworkStack, id: string): string[] => {
  const netns = readdirSync('/run/netns').filter((name) => name === names.netns(id))
  const veths = readdirSync('/sys/class/net').filter((name) => name === names.veth(id))
  const directory = join(names.networkState, 'addresses')
  const leases = readdirSync(directory).filter(
    (name) => !name.startsWith('.') && readlinkSync(join(directory, name)) === id,
  )
  return [...netns, ...veths, ...leases]
}
