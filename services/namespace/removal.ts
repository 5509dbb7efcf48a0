import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type BundlePaths, bundlePaths, keepOnlyLog, readIfThere, readSpec, removeBundle } from './bundle.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { waitFor } from './bounded-wait.ts'
import { killGroup, thaw } from './cgroup-state.ts'
import { exitOf } from './exit-status.ts'
import type { NamespaceHost } from './host.ts'
import { ownerOf } from './inventory.ts'
import { endLaunchers, launchersOf, monitorOf } from './monitor.ts'
import { abandonPrepared } from './prepared-launch.ts'
import { type Init, isAlive, readInit, signalProcess } from './process-identity.ts'

/** A process in uninterruptible sleep dies when its disk answers. */
const deathLimitMs = 10_000

/** Kills init and with it its pid namespace; answers when it is dead. Nothing there is success. */
export const killInit = async (
  record: Recorder,
  init: Init | undefined,
  directories: readonly string[],
): Promise<void> => {
  thaw(directories)
  if (init && isAlive(init)) {
    await record.call(`kill -KILL ${init.pid}`, () => signalProcess(init, 'SIGKILL'))
  }
  await killGroup(directories)
  if (!init || (await waitFor(() => (isAlive(init) ? undefined : true), deathLimitMs))) return
  throw new Failure('busy', `cannot kill process ${init.pid}: it still runs after ${deathLimitMs} ms`)
}

const endLaunchersOf = async (paths: BundlePaths): Promise<void> => {
  // A monitor that was started ahead waits for a plan that will not come.
  const monitor = readIfThere(paths.plan) === undefined ? undefined : monitorOf(paths)
  // Without a pid file the launch was interrupted early: whoever names this bundle belongs to it.
  if (monitor === undefined && readIfThere(paths.monitorPid)?.trim() && readInit(paths.pid)) return
  await (monitor === undefined ? endLaunchers(launchersOf(paths), paths, 0) : endLaunchers([monitor], paths))
}

const execBundles = (paths: BundlePaths): BundlePaths[] =>
  existsSync(paths.execs) ? readdirSync(paths.execs).map((execId) => bundlePaths(paths.exec(execId))) : []

const remove = async (
  host: NamespaceHost,
  record: Recorder,
  id: string,
  removeFiles: (paths: BundlePaths) => Promise<void>,
): Promise<void> => {
  const paths = host.paths(id)
  const kill = () => killInit(record, readInit(paths.pid), readSpec(paths)?.cgroupDirectories ?? [])
  await host.makings.remove(id, async () => {
    await abandonPrepared(host, id)
    if (!existsSync(paths.directory)) return
    await kill()
    if (await host.makings.settled(id)) await kill()
    for (const bundle of [...execBundles(paths), paths]) await endLaunchersOf(bundle)
    await record.call(`rm -r ${paths.directory}`, () => removeFiles(paths))
  })
  for (const file of readdirSync(host.names.exits)) {
    if (ownerOf(file) === id) rmSync(join(host.names.exits, file), { force: true })
  }
}

/**
 * Ends every process of the container and removes its bundle; nothing there is success. Without a
 * specification in it no process can have come of the bundle.
 */
export const removeContainer = (host: NamespaceHost, record: Recorder, id: string): Promise<void> =>
  remove(host, record, id, removeBundle)

/** The same for a run that has failed or was interrupted: what earlier runs of the container have written stays. */
export const removeRun = (host: NamespaceHost, record: Recorder, id: string): Promise<void> =>
  remove(host, record, id, async (paths) => {
    if (!keepOnlyLog(paths)) await removeBundle(paths)
  })

/**
 * Ends every process of the container and keeps its bundle and log; answers when the exit is known. With `run` only
 * those of that init: whoever hears of its end may have started the container again.
 */
export const endContainer = async (
  host: NamespaceHost,
  record: Recorder,
  id: string,
  run?: Init,
): Promise<void> => {
  const paths = host.paths(id)
  const init = readInit(paths.pid)
  if (!init || (run && (init.pid !== run.pid || init.startTicks !== run.startTicks))) return
  await killInit(record, init, readSpec(paths)?.cgroupDirectories ?? [])
  if (await waitFor(() => exitOf(host, id), deathLimitMs)) return
  // It waits for a client that is attached and reads no more: how init ended is not to be known.
  const monitor = monitorOf(paths)
  if (monitor !== undefined) await endLaunchers([monitor], paths)
  exitOf(host, id)
}
