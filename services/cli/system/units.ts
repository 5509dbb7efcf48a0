import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'
import { projectDirectory } from '../stack/project.ts'

/** Where the units of this host's administrator are, systemd.unit(5). */
export const unitDirectory = '/etc/systemd/system'
/** Starts and stops all of them. */
export const target = 'dolly.target'

const templates = join(projectDirectory, 'deploy/systemd')

/** Names of all units, as systemctl(1) takes them. */
export const unitNames = (): string[] => readdirSync(templates)

/** What is where the bus is, and nowhere else. */
const besideBus = ['nats', 'streams', 'orchestrator'].map((name) => `dolly-${name}.service`)
const registrar = 'dolly-registrar.service'

/** What of the bus a host has: its server, if it is here, and whether others join it. */
export interface BusHere {
  nats: string
  fleet: boolean
}

const unitsOf = (bus: BusHere | undefined): string[] =>
  unitNames().filter((name) => (name === registrar ? bus?.fleet : bus || !besideBus.includes(name)))

/** A unit file has no quotes for such paths in every place. */
const plain = (name: string, path: string): string => {
  if (/^[\w@.,:+/-]+$/.test(path)) return path
  throw new Failure(
    'host_unfit',
    `cannot use systemd with the ${name} "${path}": it has characters that units do not take`,
  )
}

/** The text of each unit of this host by its name; without a bus, of one that has joined. */
export const unitFiles = ({ root, node }: Config, bus?: BusHere): Map<string, string> => {
  const names = unitsOf(bus)
  const values: Record<string, string> = {
    project: plain('project', projectDirectory),
    program: plain('program', process.execPath),
    root: plain('root', root),
    node,
    ...(bus ? { nats: plain('server', bus.nats) } : {}),
    services: names.filter((name) => name !== target).join(' '),
  }
  const filled = (text: string) =>
    text.replaceAll(/@(project|program|root|node|nats|services)@/g, (_, name: string) => values[name] ?? '')
  return new Map(names.map((name) => [name, filled(readFileSync(join(templates, name), 'utf8'))]))
}

/** Units of ours that systemd finds on this host. */
export const unitsThere = (): string[] => unitNames().filter((name) => existsSync(join(unitDirectory, name)))

/** Throws `Failure` (`conflict`) when the host's units, of which there is one set, are another root's. */
export const requireOwnUnits = ({ root }: Config, verb: string): void => {
  for (const name of unitsThere()) {
    const [, other] =
      /^Environment=.*\bDOLLY_ROOT=(\S+)/m.exec(readFileSync(join(unitDirectory, name), 'utf8')) ?? []
    if (other === undefined || other === root) continue
    throw new Failure(
      'conflict',
      `cannot ${verb} the units of ${root}: this host's are of ${other}; "DOLLY_ROOT=${other} dolly system uninstall" takes them away`,
    )
  }
}

/** Stops units and takes their files away; systemd has to be told. Absent is success. */
export const removeUnits = async (names: readonly string[]): Promise<void> => {
  if (names.length > 0) await run('systemctl', ['stop', ...names], { timeoutMs: 120_000 })
  for (const name of names) await rm(join(unitDirectory, name), { force: true })
}
