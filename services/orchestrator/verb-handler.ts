import type { z } from 'zod'
import type { Bus } from '../../shared/bus.ts'
import type { Verb } from '../../shared/contracts/verbs.ts'
import { parseInput } from '../../shared/wire.ts'
import type { Projection } from './projection.ts'
import type { Queue } from './queue.ts'
import type { Reach } from './reach.ts'

/** What the handlers of public requests work with. */
export interface VerbParts {
  bus: Bus
  projection: Projection
  queue: Queue
  reach: Reach
  /** The node that answers what names none. */
  node: string
}

/** One public request and what answers it. */
export interface VerbHandler {
  verb: Verb
  handle: (body: unknown) => Promise<unknown>
}

/** A handler whose input the verb's contract has parsed. */
export const handler = <V extends Verb>(
  verb: V,
  act: (input: z.output<V['input']>) => Promise<z.input<V['output']>>,
): VerbHandler => ({ verb, handle: (body) => act(parseInput(verb.input, body) as z.output<V['input']>) })
