import { mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../shared/failure.ts'
import type { Names } from '../../shared/names.ts'

/** A container that has a volume, running or not. */
interface VolumeUse {
  id: string
  volume: string
}

const directoryOf = (names: Names): string => join(names.volumes, '.uses')

/** Neither an id nor a name has the separator. */
const pathOf = (names: Names, { id, volume }: VolumeUse): string =>
  join(directoryOf(names), `${id}:${volume}`)

/** Every use of every volume. Synchronous, as all look-ups on the launch path. */
export const listUses = (names: Names): VolumeUse[] => {
  try {
    return readdirSync(directoryOf(names)).map((entry) => {
      const [id = '', volume = ''] = entry.split(':')
      return { id, volume }
    })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Says that the container has the volume: symlink(2) makes the note whole or finds it there. */
export const noteUse = (names: Names, use: VolumeUse): void => {
  mkdirSync(directoryOf(names), { recursive: true, mode: 0o700 })
  try {
    symlinkSync(use.volume, pathOf(names, use))
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}

/** Forgets what the container has; nothing is success. The volumes stay. */
export const forgetUses = (names: Names, id: string): void => {
  for (const use of listUses(names)) if (use.id === id) rmSync(pathOf(names, use), { force: true })
}

/** Ids of the containers that have the volume. */
export const usersOf = (names: Names, volume: string): string[] =>
  listUses(names)
    .filter((use) => use.volume === volume)
    .map(({ id }) => id)
