import { z } from 'zod'
import { ContainerId } from './identity.ts'

/** Programs that answer requests on a host. */
export type HostService = 'storage' | 'cgroup' | 'network' | 'namespace'

/** Owners of steps: the host services, and the orchestrator for what is the fleet's. */
export type StepOwner = HostService | 'orchestrator'

/** One request that a host service answers: `host.<node>.<service>.<verb>`. */
export interface Operation<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> {
  service: HostService
  verb: string
  input: In
  output: Out
}

/**
 * One reversible resource of a container. `undo` takes what the container's id does not tell, works whether
 * `do` ran, half ran or never ran, and succeeds when nothing is there.
 */
export interface StepContract<
  Name extends string = string,
  In extends z.ZodType = z.ZodType,
  Out extends z.ZodType = z.ZodType,
  Undo extends z.ZodType = z.ZodType,
> {
  name: Name
  service: StepOwner
  /** The verbs on the service's subject. */
  doVerb: string
  undoVerb: string
  input: In
  output: Out
  /** The verb that tells the service ahead, with what the specification says of the step, that `do` will come. */
  prepareVerb?: string | undefined
  /** The specification has all of it: what other steps answered may be lost when `undo` is asked for. */
  undoInput: Undo
}

export const operation = <In extends z.ZodType, Out extends z.ZodType>(
  service: HostService,
  verb: string,
  { input, output }: { input: In; output: Out },
): Operation<In, Out> => ({ service, verb, input, output })

const OnlyId = z.object({ id: ContainerId })

export const stepContract = <
  Name extends string,
  In extends z.ZodType,
  Out extends z.ZodType,
  Undo extends z.ZodType = typeof OnlyId,
>(
  name: Name,
  {
    service,
    verbs = ['do', 'undo'],
    input,
    output,
    undoInput = OnlyId as unknown as Undo,
    prepareVerb,
  }: {
    service: StepOwner
    verbs?: [string, string]
    input: In
    output: Out
    undoInput?: Undo
    prepareVerb?: string
  },
): StepContract<Name, In, Out, Undo> => ({
  name,
  service,
  doVerb: verbs[0],
  undoVerb: verbs[1],
  input,
  output,
  undoInput,
  prepareVerb,
})
