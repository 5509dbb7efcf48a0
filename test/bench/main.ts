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
import { idPool, ordinaryFileSystems } from './file-systems.ts'
import { profileOf } from './launch-profile.ts'
import type { Launcher } from './launcher.ts'
import { describeMachine } from './machine.ts'
import { ociRuntime } from './oci-runtime.ts'
import { plotOf } from './plot.ts'
import { podman } from './podman.ts'
import { queue } from './queue.ts'
import { type Results, lastResults, writeResults } from './results.ts'
import { summary } from './statistics.ts'
import { mebibytesPerContainer, scale } from './scale.ts'
import { tableOf } from './table.ts'

const kind = process.argv.includes('--quick') ? 'quick' : 'full'
const { rounds, warmups, containers, bursts, queued, idlePeers, scaled } = {
  full: {
    rounds: 100,
    warmups: 10,
    containers: 500,
    bursts: 3,
    queued: 2000,
    idlePeers: 100,
    scaled: { few: 10, many: 1000, samples: 50, atOnce: 200 },
  },
  quick: { rounds: 10, warmups: 2, containers: 40, bursts: 1, queued: 0, idlePeers: 0, scaled: undefined },
}[kind]
/** Every which round also executes in the container, and runs one by the command line. */
const longRound = 4
/** So that one launcher's clean-up does not run into the next one's time. */
const pauseMs = 30
const profiledLines = 40

const say = (line: string) => void process.stderr.write(`${line}\n`)

interface Measured {
  launcher: Launcher
  ids: string[]
  create: number[]
  remove: number[]
  exec: number[]
  runOnce: number[]
}

const round = async (measured: Measured, counts: boolean, isLong: boolean): Promise<void> => {
  const { launcher, ids, create, remove, exec, runOnce } = measured
  const id = ulid()
  const created = await launcher.create(id)
  await delay(pauseMs)
  const executed = isLong ? [await launcher.exec(id)] : []
  const removed = await launcher.remove(id)
  await delay(pauseMs)
  const ran = isLong && launcher.runOnce ? [await launcher.runOnce()] : []
  if (!counts) return
  ids.push(id)
  create.push(created)
  remove.push(removed)
  exec.push(...executed)
  runOnce.push(...ran)
}

/** What failed first, and what failed in taking down after it: Node shows neither. */
const failuresIn = (error: unknown): unknown[] =>
  error instanceof SuppressedError ? [...failuresIn(error.suppressed), ...failuresIn(error.error)] : [error]
process.on('uncaughtException', (error) => {
  for (const failure of failuresIn(error)) console.error(failure)
  process.exitCode = 1
})

await ordinaryFileSystems()
await using cleanUp = new AsyncDisposableStack()
const directory = await mkdtemp(join(tmpdir(), 'dolly-bench-'))
cleanUp.defer(() => rm(directory, { recursive: true, force: true }))
const rootfs = await makeBusyboxRoot(join(directory, 'rootfs'))
const imageTar = join(directory, 'image.tar')
await run('tar', ['--create', '--file', imageTar, '--directory', rootfs, '.'])
const stack = cleanUp.use(await startStack({ DOLLY_COWFS_SIZE: '8G', DOLLY_ID_POOL: idPool }))
// One for all that is measured: each hears every event of the stack.
const client = cleanUp.use(await dollyClient(stack.config))

const skipped: Results['skipped'] = []
const measured: Measured[] = []
const contenders: [string, () => Promise<Launcher>][] = [
  ['dolly', async () => dolly(stack, client)],
  ['crun', () => ociRuntime('crun', rootfs)],
  ['runc', () => ociRuntime('runc', rootfs)],
  ['podman', () => podman(imageTar)],
  ['docker', () => docker(imageTar)],
]
for (const [name, begin] of contenders) {
  try {
    const entry: Measured = {
      launcher: cleanUp.use(await begin()),
      ids: [],
      create: [],
      remove: [],
      exec: [],
      runOnce: [],
    }
    await round(entry, false, true)
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
  for (const entry of measured) await round(entry, number >= 0, number % longRound === 0)
  if (number >= 0 && (number + 1) % 10 === 0) say(`${number + 1} of ${rounds} rounds`)
}

say(`${containers} containers at once`)
const burstResults = await burst(client, containers, { times: bursts })
const ids = measured.find(({ launcher }) => launcher.name === 'dolly')?.ids ?? []
const { steps, work } = await profileOf(client.bus, ids)

const measuredScale = async (): Promise<Results['scale']> => {
  if (!scaled) return undefined
  say(`${scaled.many} containers that run`)
  const own = await scale(client, stack.config, scaled)
  const peers: NonNullable<Results['scale']>['peers'] = []
  for (const { launcher } of measured.filter((entry) => ['docker', 'podman'].includes(entry.launcher.name))) {
    say(`${idlePeers} containers of ${launcher.name}`)
    const mebibytes = await mebibytesPerContainer(launcher, idlePeers)
    peers.push({ name: launcher.name, containers: idlePeers, mebibytes })
  }
  return { ...own, peers }
}
const scaleResults = await measuredScale()
if (queued > 0) say(`${queued} creates at once`)
// The last part asks the most of a host: where it fails, all that was measured before is still told.
const queueResults =
  queued > 0
    ? await queue(client, stack.config, queued).catch((error: unknown) => {
        console.error(error)
        process.exitCode = 1
        return undefined
      })
    : undefined

const results: Results = {
  date: new Date().toISOString(),
  kind,
  machine: describeMachine(),
  launchers: measured.map(({ launcher: { name, version, note }, create, remove, exec, runOnce }) => ({
    name,
    version,
    note,
    create: summary(create),
    remove: summary(remove),
    exec: summary(exec),
    ...(runOnce.length > 0 ? { runOnce: summary(runOnce) } : {}),
  })),
  skipped,
  burst: burstResults,
  scale: scaleResults,
  queue: queueResults,
  profile: [...steps, ...work.slice(0, profiledLines)],
}
const table = tableOf(results, await lastResults(kind))
const name = await writeResults(results, table, plotOf(results))
process.stdout.write(`${table}\nwritten to ${name}.{json,md,svg}\n`)
