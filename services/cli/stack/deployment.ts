import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure, errnoOf } from '../../../shared/failure.ts'

/** Who keeps a stack running instead of Dolly's own supervisor, and how it is taken down. */
const keepers = { Compose: '"make undeploy"', systemd: '"dolly system uninstall"' } as const
export type Keeper = keyof typeof keepers

const file = ({ root }: Config): string => join(root, 'deployment')

const isKeeper = (text: string): text is Keeper => text in keepers

/** Who keeps this root's stack running; undefined when it is Dolly's own supervisor, or nobody. */
export const keeperOf = async (config: Config): Promise<Keeper | undefined> => {
  try {
    const text = (await readFile(file(config), 'utf8')).trim()
    return isKeeper(text) ? text : undefined
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return undefined
  }
}

export const writeKeeper = (config: Config, keeper: Keeper): Promise<void> =>
  writeFile(file(config), `${keeper}\n`)

export const forgetKeeper = (config: Config): Promise<void> => rm(file(config), { force: true })

/** Throws `Failure` (`conflict`) when somebody else keeps the stack running: two would end each other's services. */
export const requireNoKeeper = async (config: Config, verb: string, but?: Keeper): Promise<void> => {
  const keeper = await keeperOf(config)
  if (!keeper || keeper === but) return
  throw new Failure(
    'conflict',
    `cannot ${verb} the stack of ${config.root}: ${keeper} runs it; ${keepers[keeper]} takes it down`,
  )
}
