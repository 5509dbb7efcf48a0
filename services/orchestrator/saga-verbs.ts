import type { Container } from '../../shared/contracts/container.ts'
import { ContainerId } from '../../shared/contracts/identity.ts'
import type { Transition } from '../../shared/contracts/journal.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { Failure } from '../../shared/failure.ts'
import { parseInput } from '../../shared/wire.ts'
import { readContainer } from './container-log.ts'
import type { ContainerRuns } from './container-runs.ts'
import { containerSpec } from './container-spec.ts'
import { explain } from './leaks.ts'
import { pageOf } from './page.ts'
import { abandon, viewContainer } from './parked.ts'
import { nameLeases } from './name-step.ts'
import { undoSteps } from './restore.ts'
import { Lost } from './saga/ledger.ts'
import type { Executor } from './saga/perform.ts'
import { type VerbHandler, type VerbParts, handler } from './verb-handler.ts'

interface SagaVerbParts extends VerbParts {
  executor: Executor
  runs: ContainerRuns
}

type Run = ReturnType<ContainerRuns['open']>

const summary = ({ id, name, node, status, error, leaked, sequence }: Container) => ({
  id,
  name,
  node,
  status,
  error,
  leaked,
  sequence,
})

const restless = new Set<Container['status']>(['creating', 'deleting', 'stuck'])

const skipped = (step: string, { leaked = [] }: Container): Transition[] => {
  if (leaked.some((leak) => leak.step === step)) {
    const error = { code: 'skipped', reason: "left as it is, on an operator's word" }
    return [{ step, status: 'skipped', error }]
  }
  const known = leaked.map((leak) => leak.step).join(', ')
  throw new Failure('invalid_message', `step: "${step}" is not one of ${known}`)
}

/** The verbs on the saga of one stuck container. */
const stuckVerbs = ({ bus, reach, node: here, runs }: SagaVerbParts): VerbHandler[] => {
  const requireStuck = async (reference: string) => {
    const id = reach.idOf(reference)
    const { container, failure } = await viewContainer(bus, id, here)
    if (!container) throw new Failure('not_found', `no such container: ${reference}`)
    if (container.status === 'stuck') return { container, failure }
    throw new Failure('conflict', `container ${id} is ${container.status}, not stuck`)
  }

  const operate = async (reference: string, act: (run: Run, container: Container) => Promise<boolean>) => {
    const { container, failure } = await requireStuck(reference)
    if (failure) throw failure
    const { id } = container
    const run = runs.open(id, undefined, await readContainer(bus, id))
    const changed = `the saga of ${id} has changed meanwhile: look again`
    try {
      if (!(await act(run, container))) throw new Failure('conflict', changed)
      if (run.state?.phase !== 'ended') await runs.drive(id, run)
    } catch (error) {
      if (error instanceof Lost) throw new Failure('conflict', changed, { cause: error })
      throw error
    }
    return summary(await reach.find(id))
  }

  return [
    handler(verbs.sagaRetry, ({ container }) =>
      operate(container, (run) => run.unwind('retried by an operator')),
    ),
    handler(verbs.sagaSkip, ({ container: reference, step }) =>
      operate(reference, (run, container) =>
        run.unwind(`${step} skipped by an operator`, skipped(step, container)),
      ),
    ),
    handler(verbs.sagaAbort, async ({ container: reference }) => {
      const { container, failure } = await requireStuck(reference)
      if (!failure) return operate(reference, (run) => run.abort('aborted by an operator'))
      await abandon(bus, container.id, `given up by an operator: ${failure.message}`)
      return summary({ ...container, status: 'failed' })
    }),
  ]
}

/** What an operator does about sagas, above all stuck ones; each of them is an event in the saga's journal. */
export const sagaVerbs = (parts: SagaVerbParts): VerbHandler[] => {
  const { bus, projection, reach, node: here, executor } = parts
  return [
    handler(verbs.sagaList, ({ all, cursor }) => {
      const listed = projection.list().filter(({ status }) => all || restless.has(status))
      const { page, next } = pageOf(listed, { cursor, show: summary })
      return Promise.resolve({ sagas: page, next })
    }),
    handler(verbs.sagaShow, async ({ container }) => {
      const id = parseInput(ContainerId, reach.idOf(container))
      const events = await bus.journal('container', id)
      if (events.length === 0) throw new Failure('not_found', `no such container: ${container}`)
      const records = events.map(({ sequence, event, raw }) => ({
        sequence,
        time: event?.time ?? null,
        type: event?.type ?? 'unreadable',
        data: event?.data ?? raw,
      }))
      return { id, records }
    }),
    ...stuckVerbs(parts),
    handler(verbs.sagaRebuild, async () => ({ containers: await projection.rebuild() })),
    handler(verbs.nodeClean, async ({ container, node = here }) => {
      const id = parseInput(ContainerId, container)
      const { ownership, sequence, spec } = await explain(bus, id)
      if (ownership === 'living')
        throw new Failure('conflict', `container ${id} is in the log: delete it instead`)
      const leased = (await nameLeases(bus)).find((lease) => lease.container === id)
      const had =
        spec ?? containerSpec({ image: 'unknown', ...(leased ? { name: leased.name } : {}) }, { id, node })
      const removed = await undoSteps({ executor, spec: { ...had, node }, fence: sequence })
      if (ownership === 'unreadable') await abandon(bus, id, "removed on an operator's word")
      const data = { container: id, steps: removed }
      const messageId = crypto.randomUUID()
      await bus.publishEvent({ kind: 'node', id: node, type: 'container.cleaned', messageId, data })
      return { removed }
    }),
  ]
}
