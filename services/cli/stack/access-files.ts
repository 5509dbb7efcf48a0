import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BusAccess, Config } from '../../../shared/config.ts'
import { writeDurably } from '../../../shared/durable-file.ts'

/** Every user of the stack's bus, for whoever is root of its host. */
export const accessFile = (names: Config['names']): string => join(names.nats, 'access.json')

/** One user of the bus: a directory each, which a program can be given alone and in which the file may be replaced. */
export const ownAccessFile = (names: Config['names'], role: string): string =>
  join(names.nats, 'users', role, 'access.json')

/** Writes where the bus is and who its users are: all in one file, and each in one of its own. */
export const writeAccess = async ({ names }: Config, { url, users }: BusAccess): Promise<void> => {
  const write = async (file: string, some: BusAccess['users']) => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeDurably(file, JSON.stringify({ url, users: some }, null, 2))
  }
  for (const [role, user] of Object.entries(users)) await write(ownAccessFile(names, role), { [role]: user })
  await write(accessFile(names), users)
}
