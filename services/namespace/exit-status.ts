import { existsSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import type { Context } from '../../shared/service.ts'
import { readIfThere, readSpec } from './bundle.ts'
import { oomKills } from './cgroup-state.ts'
import type { NamespaceHost } from './host.ts'
import { monitorOf } from './monitor.ts'
import { type Init, isAlive, readInit } from './process-identity.ts'

/** How init ended. */
export const Exit = z.object({
  exitCode: z.number().int(),
  oomKilled: z.boolean(),
  pid: z.number().int(),
  startedAt: z.string(),
  finishedAt: z.string(),
  /** Its monitor was killed before it, so the status is not known. */
  lost: z.boolean().optional(),
})
export type Exit = z.infer<typeof Exit>

const unknownStatus = 255

/** What conmon wrote: 0 to 255, or 128 and the signal. */
const writtenStatus = (file: string): { exitCode: number; finishedAt: string } | undefined => {
  const text = readIfThere(file)?.trim()
  return text && /^\d+$/.test(text)
    ? { exitCode: Number(text), finishedAt: statSync(file).mtime.toISOString() }
    : undefined
}

const persisted = (text: string | undefined): Exit | undefined => {
  // Empty is what a power loss leaves of a new file.
  if (!text) return undefined
  try {
    return Exit.safeParse(JSON.parse(text)).data
  } catch {
    return undefined // a part: it is found out once more
  }
}

const observe = (host: NamespaceHost, id: string, init: Init): Exit | undefined => {
  const paths = host.paths(id)
  // The monitor first: it writes the file and then ends, so that without it the file is there or never will be.
  const supervised = monitorOf(paths) !== undefined
  const status = writtenStatus(host.exitFile(id))
  if (!status && (supervised || isAlive(init))) return undefined
  const baseline = Number(readIfThere(paths.oomBaseline) ?? 0)
  return {
    ...(status ?? { exitCode: unknownStatus, finishedAt: new Date().toISOString(), lost: true }),
    oomKilled: oomKills(readSpec(paths)?.cgroupDirectories ?? []) > baseline,
    pid: init.pid,
    startedAt: init.startedAt,
  }
}

/** How init of the container ended, kept in its bundle from the first look on; undefined while it lives. */
export const exitOf = (host: NamespaceHost, id: string): Exit | undefined => {
  const paths = host.paths(id)
  const known = persisted(readIfThere(paths.exit))
  if (known) return known
  const init = readInit(paths.pid)
  const exit = init && observe(host, id, init)
  if (!exit) return undefined
  writeFileSync(`${paths.exit}.new`, JSON.stringify(exit), { mode: 0o600 })
  renameSync(`${paths.exit}.new`, paths.exit)
  return exit
}

/**
 * Publishes the container's exit once: the log's acknowledgement, then the mark in the bundle, then the
 * exit file goes. After a crash in between the same message id is published again.
 */
export const reportExit = async (
  host: NamespaceHost,
  id: string,
  { bus, log }: Pick<Context, 'bus' | 'log'>,
) => {
  const paths = host.paths(id)
  const exit = exitOf(host, id)
  if (!exit) return
  if (!existsSync(paths.reported)) {
    const { pid, startedAt } = exit
    await bus.publishEvent({
      kind: 'container',
      id,
      type: 'container.exited',
      data: { ...exit },
      messageId: `${id}:exited:${pid}:${startedAt}`,
    })
    log.info({ container: id, exitCode: exit.exitCode, oomKilled: exit.oomKilled }, 'container exited')
    // It may have been started again while the acknowledgement was on its way.
    const last = persisted(readIfThere(paths.exit))
    if (last?.pid !== pid || last.startedAt !== startedAt) return
    markReported(host, id)
  }
  rmSync(host.exitFile(id), { force: true })
}

/** Notes that nobody waits to hear of this exit any more; does nothing when the bundle has gone meanwhile. */
export const markReported = (host: NamespaceHost, id: string): void => {
  const { directory, reported } = host.paths(id)
  if (existsSync(directory)) writeFileSync(reported, '', { mode: 0o600 })
}
