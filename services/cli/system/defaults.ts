import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'

/** Where an administrator's settings are; every unit reads them after all that it says itself. */
const usual = '/etc/default/dolly'

/**
 * Takes the administrator's settings into the environment, where they win as they do for the units: what is written
 * for a unit (where the bus listens, the root) has to be what the unit is told.
 */
export const loadDefaults = (file = usual, env: NodeJS.ProcessEnv = process.env): void => {
  if (!existsSync(file)) return
  const said = Object.entries(parseEnv(readFileSync(file, 'utf8')))
  Object.assign(env, Object.fromEntries(said.filter(([name]) => name.startsWith('DOLLY_'))))
}
