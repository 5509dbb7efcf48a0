import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Config, busAccess } from '../../../shared/config.ts'
import { writeDurably } from '../../../shared/durable-file.ts'
import { Failure } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'
import { rememberNode } from '../../../shared/root-node.ts'
import { all, busChecks, requireKernel, requireOwn } from '../deploy/checks.ts'
import { settingsOf } from '../deploy/settings.ts'
import { letsJoin } from '../join/lets-join.ts'
import { remark } from '../output/print.ts'
import { closedAbove } from '../stack/checkout.ts'
import { writeKeeper } from '../stack/deployment.ts'
import { findNatsServer } from '../stack/nats-binary.ts'
import { urlAt, writeNatsConfigurationAt } from '../stack/nats-configuration.ts'
import { projectDirectory } from '../stack/project.ts'
import { servicesAnswer } from '../stack/services-answer.ts'
import {
  type BusHere,
  removeUnits,
  requireOwnUnits,
  target,
  unitDirectory,
  unitFiles,
  unitsThere,
} from './units.ts'

/** Throws `Failure` (`host_unfit`) unless systemd runs this host and we may tell it what to do; see sd_booted(3). */
export const requireSystemd = (verb: string): void => {
  if (!existsSync('/run/systemd/system'))
    throw new Failure('host_unfit', `cannot ${verb}: systemd does not run this host; "dolly up" needs none`)
  if (process.getuid?.() !== 0) throw new Failure('host_unfit', `cannot ${verb}: not root`)
}

/** Why a unit has failed for good, in its own last words; undefined while none has. */
const failedUnit = async (): Promise<string | undefined> => {
  const [unit] = (
    await run('systemctl', ['list-units', '--failed', '--plain', '--no-legend', 'dolly-*'])
  ).split(' ')
  if (!unit) return undefined
  const said = await run('journalctl', ['--unit', unit, '--lines', '20', '--output', 'cat', '--no-pager'])
  const reasons = [...said.matchAll(/"reason":("(?:[^"\\]|\\.)*")/g)].map(([, text = '""']) =>
    String(JSON.parse(text)),
  )
  return `${unit} has failed: ${reasons.at(-1) ?? `"journalctl --unit ${unit}" says why`}`
}

/** What each unit says itself, and what only this program needs. */
const saidOtherwise = new Set(['DOLLY_ROOT', 'DOLLY_NODE', 'DOLLY_NATS_ACCESS', 'DOLLY_NATS_PORT'])

/** The settings of the environment as systemd.exec(5) reads them from a file. */
const settingsText = (env: NodeJS.ProcessEnv): string =>
  Object.entries(env)
    .filter(([name, value]) => name.startsWith('DOLLY_') && !saidOtherwise.has(name) && value)
    .map(([name, value = '']) => `${name}="${value.replaceAll(/["\\$`]/g, String.raw`\$&`)}"\n`)
    .join('')

const busHere = async (config: Config, port: number): Promise<BusHere> => ({
  nats: (await findNatsServer()).path,
  fleet: await letsJoin(config, urlAt(config, port)),
})

/**
 * Puts this stack's units in place and enables them; with `now` starts them and waits until every service answers.
 * Again it brings them to what this version says. Throws `Failure` before anything is changed when the host is not fit.
 */
export const install = async (
  config: Config,
  { now = false, env = process.env }: { now?: boolean; env?: NodeJS.ProcessEnv } = {},
): Promise<void> => {
  requireSystemd('install')
  requireOwnUnits(config, 'install')
  const { port } = settingsOf(config, env)
  const closed = closedAbove(join(projectDirectory, 'services'))
  if (closed !== undefined)
    throw new Failure(
      'host_unfit',
      `cannot install: ${projectDirectory} is below ${closed}, which only its owner may enter; move it, as to /opt`,
    )
  const bus = config.joined ? Promise.resolve(undefined) : busHere(config, port)
  await all('install', [bus, requireOwn(config, 'systemd'), requireKernel(), ...busChecks(config, port)])
  const units = unitFiles(config, await bus)
  await mkdir(config.names.networkState, { recursive: true, mode: 0o700 })
  if (!config.joined) await writeNatsConfigurationAt(config, port)
  await writeKeeper(config, 'systemd')
  await writeDurably(join(config.root, 'settings'), settingsText(env))
  await rememberNode(config)
  // Those of another version or other settings, as the registrar's.
  await removeUnits(unitsThere().filter((name) => !units.has(name)))
  for (const [name, text] of units) await writeFile(join(unitDirectory, name), text)
  await run('systemctl', ['daemon-reload'])
  await run('systemctl', ['enable', '--quiet', target])
  if (!now) return remark(`installed; "systemctl start ${target}" starts it`)
  await run('systemctl', ['restart', target], { timeoutMs: 120_000 })
  const logs = "journalctl --unit 'dolly-*'"
  await servicesAnswer(config, { verb: 'install', logs, ended: failedUnit })
  const { url } = busAccess(config, 'operator')
  remark(`ready: node ${config.node}, root ${config.root}, NATS at ${url}`)
}
