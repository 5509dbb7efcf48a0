import { existsSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { errnoOf } from '../../shared/failure.ts'

const root = '/sys/class/net'
const namespaces = '/run/netns'
const IFF_UP = 1

/** The value, or undefined when the interface is not there or not of that kind. EINVAL is the kernel's answer while one goes away. */
const present = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EINVAL'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** What the kernel shows of the host's network interfaces and named namespaces, read without a process. */
export const interfaces = {
  list: (): string[] => readdirSync(root),
  exists: (name: string): boolean => existsSync(`${root}/${name}`),
  /** Its number, which the host gives to no other, unlike its name; undefined also while it goes away. */
  index: (name: string): number | undefined => {
    const index = present(() => readFileSync(`${root}/${name}/ifindex`, 'utf8'))
    return index === undefined ? undefined : Number(index)
  },
  isBridge: (name: string): boolean => existsSync(`${root}/${name}/bridge`),
  isUp: (name: string): boolean =>
    (Number(present(() => readFileSync(`${root}/${name}/flags`, 'utf8'))) & IFF_UP) !== 0,
  alias: (name: string): string =>
    present(() => readFileSync(`${root}/${name}/ifalias`, 'utf8'))?.trim() ?? '',
  master: (name: string): string | undefined => {
    const path = present(() => readlinkSync(`${root}/${name}/master`))
    return path === undefined ? undefined : basename(path)
  },
  /** Interfaces whose master is the bridge. */
  ports: (bridge: string): string[] => present(() => readdirSync(`${root}/${bridge}/brif`)) ?? [],
}

/** Named network namespaces: files under /run/netns with a namespace mounted on each. */
export const namedNamespaces = {
  list: (): string[] => present(() => readdirSync(namespaces)) ?? [],
  /** True when the name is there, mounted or not. */
  exists: (name: string): boolean => existsSync(`${namespaces}/${name}`),
  /** True when a namespace is mounted on the name: nsfs is a file system of its own. */
  isMounted: (name: string): boolean => {
    const file = present(() => statSync(`${namespaces}/${name}`))
    return file !== undefined && file.dev !== statSync(namespaces).dev
  },
}
