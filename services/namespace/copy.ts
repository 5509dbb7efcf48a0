import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import type { processCopy } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type BundlePaths, type ContainerPlan, bundlePaths, readSpec } from './bundle.ts'
import type { Command } from './command.ts'
import { copyCommand } from './copy-command.ts'
import { launchBeside } from './exec.ts'
import { execPlan } from './exec-plan.ts'
import type { NamespaceHost } from './host.ts'
import { bareNamespace } from './monitor.ts'
import { containerPlan } from './plan.ts'
import { stateOf } from './state.ts'

/** Static, so that it loads nothing of the container's; it runs from a sealed copy in memory. */
const program = '/bin/busybox'

/** A tmpfs is made anew with each run: what a stopped container has there is gone, and what came there would be. */
const atRest = (spec: ContainerPlan): ContainerPlan => ({ ...spec, tmpfs: [] })

/** The copy's own files, and the container's that are mounted into its tree. */
const mixed = (own: BundlePaths, { hostname, hosts, resolver }: BundlePaths): BundlePaths => ({
  ...own,
  hostname,
  hosts,
  resolver,
})

/**
 * Makes a process that packs or unpacks a part of the container's tree as a tar, on its standard streams, as
 * root inside: in the mount namespace of a container that runs, in one made like it for one that does not. It
 * has the container's rights and limits, no others. Waits for `exec-start`, as an exec does.
 */
export const makeCopy = async (
  host: NamespaceHost,
  record: Recorder,
  input: z.output<typeof processCopy.input>,
) => {
  const { id } = input
  const state = stateOf(host, id)
  const container = host.paths(id)
  const kept = readSpec(container)
  if (!kept) throw new Failure('not_found', `cannot copy in container ${id}: it does not exist on this host`)
  if (state.status === 'paused')
    throw new Failure('conflict', `cannot copy in container ${id}: it is paused; "dolly unpause" it first`)
  const execId = randomBytes(8).toString('hex')
  const paths = bundlePaths(container.exec(execId))
  const process = {
    ...kept.process,
    terminal: false,
    stdin: true,
    rlimits: [],
  }
  const spec = { ...kept, process }
  const command: Command = { args: copyCommand(input), env: ['PATH=/'], cwd: '/', user: '0', program }
  const filter = await host.filters.fileOf(record, spec.seccomp, process.capabilities)
  const { cgroupMounts, bindAllow } = host
  const facts = { cgroupMounts, filter, bare: bareNamespace(host.monitor), bindAllow }
  const init = state.status === 'stopped' ? undefined : state.pid
  const plan =
    init === undefined
      ? containerPlan(atRest(spec), mixed(paths, container), facts, command)
      : execPlan({ ...command, pid: init, terminal: false }, spec, paths, facts)
  const beside = { verb: 'copy', init, execId, paths, spec, plan, terminal: false, stdin: true } as const
  await launchBeside(host, record, beside)
  return { execId, attachSocket: paths.attach, bundle: paths.directory }
}
