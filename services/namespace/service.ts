import { release as kernelRelease } from 'node:os'
import { z } from 'zod'
import type { Config } from '../../shared/config.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import {
  execStart,
  execWait,
  objects,
  processCopy,
  processExec,
  processInit,
  processKill,
  processOrigin,
  processState,
  processStop,
  release,
} from '../../shared/contracts/operations.ts'
import { NamespacePreparation, labNamespace, labStart, namespace } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { pageOfObjects } from '../../shared/object-pages.ts'
import { type Context, type Endpoint, type HostServiceDefinition, endpoint } from '../../shared/service.ts'
import { type LabInput, type NamespaceInput, readSpec } from './bundle.ts'
import { ensureInit, initContainer, labPlanOf, planOf, startContainer, startOnce } from './container.ts'
import { prepareLaunch } from './prepared-launch.ts'
import { makeCopy } from './copy.ts'
import { sweepExecs } from './exec-sweep.ts'
import { makeExec, startExec, waitExec } from './exec.ts'
import { markReported } from './exit-status.ts'
import { watchExits } from './exits.ts'
import { type NamespaceHost, prepareHost } from './host.ts'
import { inventory, releaseHost } from './inventory.ts'
import { endContainer, removeContainer } from './removal.ts'
import { stateOf } from './state.ts'
import { killContainer, stopContainer } from './stop.ts'
import { streamEndpoints } from './streams/endpoints.ts'

/** One verb for the quick `start` and for the lab's last step. */
const StartInput = z.object({ id: ContainerId, start: z.boolean().default(true) })
type StartInput = z.output<typeof StartInput>

const steps = (host: () => NamespaceHost): Endpoint[] => [
  {
    verb: namespace.doVerb,
    input: namespace.input,
    handle: async (input: NamespaceInput, { record }: Context) => {
      const { pid, startedAt } = await ensureInit(host(), record, planOf(input))
      if (input.start) await startOnce(host(), record, input.id)
      return { pid, startedAt }
    },
  },
  {
    verb: labNamespace.doVerb,
    input: labNamespace.input,
    handle: async (input: LabInput, { record }: Context) => {
      const { pid, startedAt } = await ensureInit(host(), record, labPlanOf(input))
      return { pid, startedAt }
    },
  },
  {
    verb: namespace.prepareVerb ?? 'prepare',
    input: NamespacePreparation,
    handle: async (input: z.output<typeof NamespacePreparation>) => prepareLaunch(host(), input),
  },
  {
    // Of both steps: what they made ends in the same way.
    verb: namespace.undoVerb,
    input: namespace.undoInput,
    handle: ({ id }: z.output<typeof namespace.undoInput>, { record }: Context) =>
      removeContainer(host(), record, id),
  },
  {
    verb: labStart.doVerb,
    input: StartInput,
    handle: async ({ id, start }: StartInput, context: Context) =>
      start ? startContainer(host(), context, id) : stateOf(host(), id),
  },
  {
    verb: labStart.undoVerb,
    input: labStart.undoInput,
    handle: async ({ id }: z.output<typeof labStart.undoInput>, { record }: Context) => {
      // Compensation, not an exit that anyone waits to hear of.
      markReported(host(), id)
      await endContainer(host(), record, id)
    },
  },
]

const operations = (host: () => NamespaceHost): Endpoint[] => [
  { ...endpoint(processState, async ({ id }) => stateOf(host(), id)), concurrent: true },
  {
    ...endpoint(processOrigin, async ({ id }) => {
      const { origin = null } = readSpec(host().paths(id)) ?? {}
      return { origin, state: stateOf(host(), id) }
    }),
    concurrent: true,
  },
  endpoint(processInit, ({ id }, context) => initContainer(host(), context, id)),
  { ...endpoint(processKill, (input, { record }) => killContainer(host(), record, input)), concurrent: true },
  { ...endpoint(processStop, (input, { record }) => stopContainer(host(), record, input)), concurrent: true },
  { ...endpoint(processExec, (input, { record }) => makeExec(host(), record, input)), concurrent: true },
  { ...endpoint(processCopy, (input, { record }) => makeCopy(host(), record, input)), concurrent: true },
  endpoint(execStart, ({ id, execId }, { record }) => startExec(host(), record, id, execId)),
  {
    ...endpoint(execWait, ({ id, execId, timeoutMs }) => waitExec(host(), id, execId, timeoutMs)),
    concurrent: true,
  },
  endpoint(objects.namespace, async ({ cursor }) => pageOfObjects(inventory(host()), cursor)),
  endpoint(release.namespace, async () => ({ released: await releaseHost(host()) })),
]

/** Owns a container's processes: its namespaces, its root, its init, and what is executed in it. */
export const namespaceService = (config: Config): HostServiceDefinition => {
  let prepared: NamespaceHost | undefined
  const host = (): NamespaceHost => {
    if (!prepared) throw new Failure('unavailable', 'the namespace service has not readied its host yet')
    return prepared
  }
  return {
    name: 'namespace',
    description: 'Builds the namespaces of a container and runs its processes',
    facts: () => ({
      labels: config.host.labels,
      capacity: { containers: config.host.containers },
      features: { kernel: kernelRelease() },
    }),
    endpoints: [...steps(host), ...operations(host), ...streamEndpoints(host)],
    prepare: async (context) => {
      prepared = await prepareHost(config, context)
    },
    watch: async (context, signal) => {
      signal.addEventListener('abort', () => host().streams.closeAll())
      await Promise.all([watchExits(host(), context, signal), sweepExecs(host(), context, signal)])
    },
  }
}
