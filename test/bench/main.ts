import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ulid } from 'ulid'
import { run } from '../../shared/recorder.ts'
import { startStack } from '../helpers/stack.ts'
import { makeBusyboxRoot } from '../namespace/busybox-root.ts'
import { burst } from './burst.ts'
import { docker } from './docker.ts'
import { dolly } from './dolly.ts'
import { dollyClient } from './dolly-client.ts'
import { profileOf } from './launch-profile.ts'
import type { Launcher } from './launcher.ts'
import { describeMachine } from './machine.ts'
import { ociRuntime } from './oci-runtime.ts'
import { plotOf } from './plot.ts'
import { podman } from './podman.ts'
import { type Results, lastResults, writeResults } from './results.ts'
import { summary } from './statistics.ts'
import { tableOf } from './table.ts'

const kind = process.argv.includes('--quick') ? 'quick' : 'full'
const { rounds, warmups, containers } = {
  full: { rounds: 100, warmups: 10, containers: 500 },
  quick: { rounds: 10, warmups: 2, containers: 40 },
}[kind]
/** So that one launcher's clean-up does not run into the next one's time. */
const pauseMs = 30
const profiledLines = 40

const say = (line: string) => void process.stderr.write(`${line}\n`)

interface Measured {
  launcher: Launcher
  ids: string[]
  create: number[]
  remove: number[]
}

const round = async ({ launcher, ids, create, remove }: Measured, counts: boolean): Promise<void> => {
  const id = ulid()
  const created = await launcher.create(id)
  await delay(pauseMs)
  const removed = await launcher.remove(id)
  await delay(pauseMs)
  if (!counts) return
  ids.push(id)
  create.push(created)
  remove.push(removed)
}

await using cleanUp = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'dolly-bench-'))
cleanUp.defer(() => rm(directory, { recursive: true, force: true }))
const rootfs = await makeBusyboxRoot(join(directory, 'rootfs'))
const imageTar = join(directory, 'image.tar')
await run('tar', ['--create', '--file', imageTar, '--directory', rootfs, '.'])
const stack = cleanUp.use(await startStack())

const skipped: Results['skipped'] = []
const measured: Measured[] = []
const contenders: [string, () => Promise<Launcher>][] = [
  ['dolly', () => dolly(stack)],
  ['crun', () => ociRuntime('crun', rootfs)],
  ['runc', () => ociRuntime('runc', rootfs)],
  ['podman', () => podman(imageTar)],
  ['docker', () => docker(imageTar)],
]
for (const [name, begin] of contenders) {
  try {
    const entry: Measured = { launcher: cleanUp.use(await begin()), ids: [], create: [], remove: [] }
    await round(entry, false)
    measured.push(entry)
    say(`${name} is ready`)
  } catch (error) {
    if (name === 'dolly') throw error
    const first = error instanceof SuppressedError ? error.suppressed : error
    const reason = first instanceof Error ? first.message : String(first)
    skipped.push({ name, reason })
    say(`${name} is skipped: ${reason}`)
  }
}

for (let number = -warmups; number < rounds; number++) {
  for (const entry of measured) await round(entry, number >= 0)
  if (number >= 0 && (number + 1) % 10 === 0) say(`${number + 1} of ${rounds} rounds`)
}

const client = cleanUp.use(await dollyClient(stack.config))
say(`${containers} containers at once`)
const burstResults = await burst(client, containers)
const ids = measured.find(({ launcher }) => launcher.name === 'dolly')?.ids ?? []
const { steps, work } = await profileOf(client.bus, ids)

const results: Results = {
  date: new Date().toISOString(),
  kind,
  machine: describeMachine(),
  launchers: measured.map(({ launcher: { name, version, note }, create, remove }) => ({
    name,
    version,
    note,
    create: summary(create),
    remove: summary(remove),
  })),
  skipped,
  burst: burstResults,
  profile: [...steps, ...work.slice(0, profiledLines)],
}
const table = tableOf(results, await lastResults(kind))
const name = await writeResults(results, table, plotOf(results))
process.stdout.write(`${table}\nwritten to ${name}.{json,md,svg}\n`)
