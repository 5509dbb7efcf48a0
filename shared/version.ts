import { readFileSync } from 'node:fs'

/** The project's version, from its package.json. */
export const projectVersion = (): string => {
  const file = new URL('../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
