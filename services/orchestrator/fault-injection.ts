import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { Injection } from '../../shared/contracts/container-create.ts'
import { Failure } from '../../shared/failure.ts'
import type { RequestMeta } from '../../shared/request-meta.ts'
import type { Executor, StepRequest } from './saga/perform.ts'

const Injected = z.object({ inject: z.array(Injection).default([]) })

/** The points of each direction, beside those that a service knows. */
const points = {
  do: { 'before-act': 'before-act', 'after-act': 'after-act', 'after-reply': 'after-reply' },
  undo: { 'before-undo': 'before-act', 'after-undo': 'after-act' },
} as const satisfies Record<string, Partial<Record<Injection['point'], RequestMeta['inject']>>>

/** Long enough for a request to leave, and shorter than any act. */
const leaveMs = 2

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
  ...executor,
  act: async (request: StepRequest) => {
    const { contract, direction, first } = request
    const known: Partial<Record<Injection['point'], RequestMeta['inject']>> = points[direction]
    const wanted = first
      ? Injected.parse(request.input).inject.filter(({ step }) => step === contract.name)
      : []
    const pointOf = (...actions: Injection['action'][]) => {
      const found = wanted.find(({ action, point }) => actions.includes(action) && known[point])
      return found && known[found.point]
    }
    // A step of the fleet's has no other service than this process.
    const isLocal = contract.service === 'orchestrator'
    const ending = isLocal ? pointOf('kill-orchestrator', 'kill-service') : pointOf('kill-orchestrator')
    const failing = pointOf('fail')
    const inject = isLocal ? undefined : pointOf('kill-service')

    if (ending === 'before-act') die()
    if (failing === 'before-act') throw new Failure('system', `${contract.name} was told to fail`)
    const acting = executor.act(inject ? { ...request, inject } : request)
    if (ending === 'after-act') await Promise.race([isLocal ? acting : delay(leaveMs), acting]).then(die)
    const reply = await acting
    if (ending === 'after-reply') die()
    if (failing) throw new Failure('system', `${contract.name} was told to fail after it acted`)
    return reply
  },
})
