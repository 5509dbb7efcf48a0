import { closeSync, constants, openSync, rmSync, writeFileSync } from 'node:fs'
import type { UserNamespace } from '../../shared/contracts/oci.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'
import { type Recorder, shellLine } from '../../shared/recorder.ts'
import { type BundlePaths, readIfThere } from './bundle.ts'
import { type Launch, type MonitorHost, launchMonitor, monitorArguments } from './monitor.ts'
import type { Operation } from './operation.ts'
import { type Init, readInit } from './process-identity.ts'
import { failureOf, parseReport } from './report.ts'
import { transcriptOf } from './transcript.ts'

interface Making {
  request: Launch
  /** What conmon will say, if it was started ahead. */
  prepared?: Promise<string | undefined> | undefined
  plan: readonly Operation[]
  /** As in "container 01K…". */
  where: string
  userNamespace: UserNamespace | null
}

/** Runs a bundle's plan under a monitor, records every call of it, and answers the process that now waits. */
export const launch = async (
  monitor: MonitorHost,
  record: Recorder,
  { request, prepared, plan, where, userNamespace }: Making,
): Promise<Init> => {
  const { paths } = request
  const refused = await record.call(
    shellLine(['conmon', ...monitorArguments(request)]),
    () => prepared ?? launchMonitor(monitor, request),
  )
  const report = parseReport(readIfThere(paths.report) ?? '')
  record.append(transcriptOf(plan, report, userNamespace ?? undefined))
  const failed = report.find(({ errno }) => errno !== 0)
  const operation = failed && plan[failed.index]
  if (failed && operation) throw failureOf(where, operation, failed)
  if (refused !== undefined) throw new Failure('system', `cannot make ${where}: ${refused.trim()}`)
  const init = readInit(paths.pid)
  if (!init) throw new Failure('system', `cannot make ${where}: ${paths.pid} does not name a process`)
  return init
}

/** Lets a waiting process run its command. Answers false when nothing waits there (any more). */
export const release = (record: Recorder, paths: BundlePaths): Promise<boolean> =>
  record.call(`: > ${shellLine([paths.fifo])}`, () => {
    writeFileSync(paths.started, '', { mode: 0o600 })
    try {
      closeSync(openSync(paths.fifo, constants.O_WRONLY | constants.O_NONBLOCK))
      return true
    } catch (error) {
      if (errnoOf(error) === 'ENXIO' || errnoOf(error) === 'ENOENT') return false
      throw error
    }
  })

/** Forgets an earlier run of the same bundle; its log stays. */
export const forgetRun = (paths: BundlePaths, exitFile: string): void => {
  const { pid, report, monitorPid, exit, reported, started, oomBaseline, fifo } = paths
  for (const file of [exitFile, pid, report, monitorPid, exit, reported, started, oomBaseline, fifo]) {
    rmSync(file, { force: true })
  }
}
