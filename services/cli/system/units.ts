import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { projectDirectory } from '../stack/project.ts'

/** Where the units of this host's administrator are, systemd.unit(5). */
export const unitDirectory = '/etc/systemd/system'
/** Starts and stops all of them. */
export const target = 'dolly.target'

const templates = join(projectDirectory, 'deploy/systemd')

/** Names of the units, as systemctl(1) takes them. */
export const unitNames = (): string[] => readdirSync(templates)

/** A unit file has no quotes for such paths in every place. */
const plain = (name: string, path: string): string => {
  if (/^[\w@.,:+/-]+$/.test(path)) return path
  throw new Failure(
    'host_unfit',
    `cannot use systemd with the ${name} "${path}": it has characters that units do not take`,
  )
}

/** The text of each unit by its name, for this project, root and node. */
export const unitFiles = ({ root, node }: Config, nats: string): Map<string, string> => {
  const values: Record<string, string> = {
    project: plain('project', projectDirectory),
    program: plain('program', process.execPath),
    root: plain('root', root),
    node,
    nats: plain('server', nats),
  }
  const filled = (text: string) =>
    text.replaceAll(/@(project|program|root|node|nats)@/g, (_, name: string) => values[name] ?? '')
  return new Map(unitNames().map((name) => [name, filled(readFileSync(join(templates, name), 'utf8'))]))
}
