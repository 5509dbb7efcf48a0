import { verbs } from '../../shared/contracts/verbs.ts'
import type { Container } from '../../shared/contracts/container.ts'
import { Failure } from '../../shared/failure.ts'
import { readContainer } from './container-log.ts'
import type { ContainerRuns } from './container-runs.ts'
import { containerSpec } from './container-spec.ts'
import { ownershipOf } from './leaks.ts'
import { requireStuck, undoSteps } from './restore.ts'
import type { Executor } from './saga/perform.ts'
import { type VerbHandler, type VerbParts, handler } from './verb-handler.ts'

interface SagaVerbParts extends VerbParts {
  executor: Executor
  runs: ContainerRuns
}

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

/** What an operator does about sagas, above all stuck ones; each of them is an event in the saga's journal. */
export const sagaVerbs = ({
  bus,
  projection,
  reach,
  node: here,
  executor,
  runs,
}: SagaVerbParts): VerbHandler[] => {
  const operate = async (
    reference: string,
    act: (run: ReturnType<ContainerRuns['open']>, container: Container) => Promise<boolean>,
  ) => {
    const { id } = requireStuck(await reach.find(reference))
    const known = await readContainer(bus, id)
    if (!known.container) throw new Failure('not_found', `no such container: ${reference}`)
    const run = runs.open(id, undefined, known)
    if (!(await act(run, known.container)))
      throw new Failure('conflict', `the saga of ${id} has changed meanwhile: look again`)
    if (run.state?.phase !== 'ended') await runs.drive(id, run)
    return summary(await reach.find(id))
  }

  return [
    handler(verbs.sagaList, async ({ all }) => ({
      sagas: projection
        .list()
        .filter(({ status }) => all || restless.has(status))
        .map(summary),
    })),
    handler(verbs.sagaShow, async ({ container }) => {
      const id = reach.idOf(container)
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
    handler(verbs.sagaRetry, ({ container }) =>
      operate(container, (run) => run.unwind('retried by an operator')),
    ),
    handler(verbs.sagaSkip, ({ container, step }) =>
      operate(container, (run, { leaked = [] }) => {
        if (!leaked.some((leak) => leak.step === step)) {
          throw new Failure(
            'invalid_message',
            `step: "${step}" is not one of ${leaked.map((leak) => leak.step).join(', ')}`,
          )
        }
        const error = { code: 'skipped', reason: "left as it is, on an operator's word" }
        return run.unwind(`${step} skipped by an operator`, [{ step, status: 'skipped', error }])
      }),
    ),
    handler(verbs.sagaAbort, ({ container }) =>
      operate(container, (run) => run.abort('aborted by an operator')),
    ),
    handler(verbs.sagaRebuild, async () => ({ containers: await projection.rebuild() })),
    handler(verbs.nodeClean, async ({ container: id, node = here }) => {
      if ((await ownershipOf(bus, id)) === 'living')
        throw new Failure('conflict', `container ${id} is in the log: delete it instead`)
      const events = await bus.journal('container', id)
      const spec = containerSpec({ image: 'unknown' }, { id, node })
      const removed = await undoSteps(executor, spec, events.at(-1)?.sequence ?? 0)
      const data = { container: id, steps: removed }
      await bus.publishEvent({
        kind: 'node',
        id: node,
        type: 'container.cleaned',
        messageId: crypto.randomUUID(),
        data,
      })
      return { removed }
    }),
  ]
}
