import { z } from 'zod'
import { Injection } from '../../shared/contracts/container-create.ts'
import { Failure } from '../../shared/failure.ts'
import type { Executor, StepRequest } from './saga/perform.ts'

const Injected = z.object({ inject: z.array(Injection).default([]) })

const points = {
  do: { before: 'before-act', after: 'after-act', replied: 'after-reply' },
  undo: { before: 'before-undo', after: 'after-undo', replied: 'after-undo' },
} as const

/** Ends this process as a crash would, wherever it stands. */
const die = (): never => {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('unreachable: SIGKILL cannot be handled')
}

/**
 * Fails launches on purpose where `trace.inject` says so: once, at the first attempt of a run that began
 * the saga or its reverse, so that what follows is recovery and must succeed.
 */
export const injecting = (executor: Executor): Executor => ({
  act: async (request: StepRequest) => {
    const { contract, direction, first } = request
    const at = points[direction]
    const wanted = first
      ? Injected.parse(request.input).inject.filter(({ step }) => step === contract.name)
      : []
    const has = (action: Injection['action'], point: string) =>
      wanted.some((injection) => injection.action === action && injection.point === point)

    if (has('kill-orchestrator', at.before)) die()
    if (has('fail', at.before)) throw new Failure('system', `${contract.name} was told to fail`)
    const inject = has('kill-service', at.before)
      ? 'before-act'
      : has('kill-service', at.after)
        ? 'after-act'
        : undefined
    const reply = await executor.act(inject ? { ...request, inject } : request)
    if (has('kill-orchestrator', at.replied)) die()
    if (has('fail', at.after)) throw new Failure('system', `${contract.name} was told to fail after it acted`)
    return reply
  },
})
