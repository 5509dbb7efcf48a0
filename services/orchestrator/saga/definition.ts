import type { z } from 'zod'
import type { StepContract } from '../../../shared/contracts/contract.ts'
import { patienceMs } from '../../../shared/patience.ts'

export interface StepOptions {
  /** Start to finish of `do`, retries included, in milliseconds. */
  timeoutMs?: number
  /** Attempts of `do` that may fail retryably; being unavailable is waited out until the timeout. */
  attempts?: number
  /** Start to finish of `undo`, retries included, in milliseconds. */
  undoTimeoutMs?: number
  /** Attempts of `undo` until the resource counts as leaked. */
  undoAttempts?: number
}

/** One step of a saga: its contract, the steps whose outputs it takes, and its limits. */
export interface Step<
  C extends StepContract = StepContract,
  N extends readonly StepContract[] = readonly StepContract[],
> extends Required<StepOptions> {
  contract: C
  needs: N
}

/** A saga as data. `version` is journaled with every run; a run of a version not known here is refused. */
export interface Saga<Spec extends z.ZodType = z.ZodType> {
  name: string
  version: number
  input: Spec
  /** Overall limit of the forward phase, in milliseconds. */
  deadlineMs: number
  steps: readonly Step[]
}

type Intersection<U> = (U extends unknown ? (arg: U) => void : never) extends (arg: infer I) => void
  ? I
  : never
type Outputs<N extends readonly StepContract[]> = N extends readonly []
  ? unknown
  : Intersection<z.output<N[number]['output']>>
type RequiredKeys<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? never : K }[keyof T]
type Missing<Spec, C extends StepContract, N extends readonly StepContract[]> = Exclude<
  RequiredKeys<z.input<C['input']>>,
  keyof (Spec & Outputs<N>)
>
/** A step whose input is not produced by the specification and its needs becomes a sentence, which is no step. */
type Checked<Spec, S> =
  S extends Step<infer C, infer N>
    ? [Missing<Spec, C, N>] extends [never]
      ? S
      : `${C['name']} needs ${Missing<Spec, C, N> & string}`
    : never

export const step = <C extends StepContract, const N extends readonly StepContract[] = readonly []>(
  contract: C,
  {
    needs,
    timeoutMs = 30_000,
    attempts = 4,
    undoTimeoutMs = 120_000,
    undoAttempts = 8,
  }: StepOptions & { needs?: N } = {},
): Step<C, N> => ({
  contract,
  needs: (needs ?? []) as unknown as N,
  timeoutMs: patienceMs(timeoutMs),
  attempts,
  undoTimeoutMs: patienceMs(undoTimeoutMs),
  undoAttempts,
})

/** Declares a saga. Throws when a step comes before one it needs: the order of the list is the order of a serial run. */
export const saga = <Spec extends z.ZodType, const S extends readonly Step[]>(
  name: string,
  { version, input, deadlineMs }: { version: number; input: Spec; deadlineMs: number },
  steps: S & { [K in keyof S]: Checked<z.output<Spec>, S[K]> },
): Saga<Spec> => {
  const seen = new Set<string>()
  for (const { contract, needs } of steps as readonly Step[]) {
    const absent = needs.find((need) => !seen.has(need.name))
    if (absent) throw new Error(`saga ${name}: ${contract.name} comes before ${absent.name}, which it needs`)
    if (seen.has(contract.name)) throw new Error(`saga ${name}: ${contract.name} stands twice`)
    seen.add(contract.name)
  }
  return { name, version, input, deadlineMs: patienceMs(deadlineMs), steps }
}
