import test from 'ava'
import fc from 'fast-check'
import { Failure } from '../../../shared/failure.ts'
import { createFence } from '../../../shared/fence.ts'
import { createKeyedQueue } from '../../../shared/keyed-queue.ts'
import type { Journal } from '../../../services/orchestrator/saga/journal.ts'
import type { Clock, Executor } from '../../../services/orchestrator/saga/perform.ts'
import type { Saga } from '../../../services/orchestrator/saga/definition.ts'
import { Lost, foldJournal } from '../../../services/orchestrator/saga/ledger.ts'
import { type RunParts, createRun } from '../../../services/orchestrator/saga/run.ts'
import { memoryJournal, plainSaga } from './memory.ts'

const runs = Number(process.env['DOLLY_MODEL_RUNS'] ?? 10_000)

/** The orchestrator's process is gone: nothing after this line of it happens. */
class Crash extends Error {}

const behaviours = [
  'ok',
  'ok',
  'ok',
  'ok',
  'fails',
  'busy',
  'lost-reply',
  'acts-then-fails',
  'late',
  'duplicate',
] as const

const scenario = fc.record({
  steps: fc.array(fc.array(fc.nat(7), { maxLength: 3 }), { minLength: 1, maxLength: 8 }),
  /** How the world answers request number n. */
  behaviour: fc.infiniteStream(fc.constantFrom(...behaviours)),
  ticks: fc.infiniteStream(fc.nat(12)),
  /** Appends, counted over all runs, at which the orchestrator dies: before or after the log has the record. */
  crashes: fc.array(fc.record({ at: fc.nat(30), after: fc.boolean() }), { maxLength: 4 }),
  /** Appends at which a second orchestrator takes the saga over while the first still works. */
  rivals: fc.array(fc.nat(20), { maxLength: 2 }),
  cancelAt: fc.option(fc.nat(15)),
  unwind: fc.boolean(),
})

const tick = async (count: number): Promise<void> => {
  for (let index = 0; index < count; index++) await Promise.resolve()
}

/** The hosts: which resources exist, behind the queue and the fence that every service has. */
const createWorld = (
  definition: Saga,
  next: { behaviour: () => (typeof behaviours)[number]; ticks: () => number },
) => {
  const present = new Set<string>()
  const violations: string[] = []
  const queue = createKeyedQueue()
  const fence = createFence()
  const pending = new Set<Promise<void>>()

  const effect = (direction: 'do' | 'undo', name: string) => {
    const step = definition.steps.find(({ contract }) => contract.name === name)
    if (direction === 'do') {
      const absent = step?.needs.find((need) => !present.has(need.name))
      if (absent) violations.push(`do ${name} without ${absent.name}`)
      present.add(name)
      return
    }
    const above = definition.steps.find(
      ({ contract, needs }) => present.has(contract.name) && needs.some((need) => need.name === name),
    )
    if (above) violations.push(`undo ${name} under ${above.contract.name}`)
    present.delete(name)
  }

  const deliver = (direction: 'do' | 'undo', name: string, token: number, ticks: number) => {
    const delivery = tick(ticks).then(() =>
      queue.run(name, async () => {
        await tick(ticks)
        if (!fence.admits(name, token)) throw new Failure('stale', 'replaced')
        effect(direction, name)
      }),
    )
    const settled = delivery.catch(() => undefined)
    pending.add(settled)
    void settled.then(() => pending.delete(settled))
    return delivery
  }

  const executor: Executor = {
    act: async ({ contract: { name }, direction, fence: token }) => {
      const behaviour = next.behaviour()
      const ticks = next.ticks()
      if (behaviour === 'fails') throw new Failure('system', `${direction} ${name}`)
      if (behaviour === 'busy') throw new Failure('busy', `${direction} ${name}`)
      if (behaviour === 'late') void deliver(direction, name, token, ticks * 6).catch(() => undefined)
      if (behaviour === 'late') throw new Failure('timeout', `${direction} ${name}`)
      if (behaviour === 'duplicate') void deliver(direction, name, token, ticks * 2).catch(() => undefined)
      await deliver(direction, name, token, ticks)
      if (behaviour === 'lost-reply') throw new Failure('timeout', `${direction} ${name}`)
      if (behaviour === 'acts-then-fails') throw new Failure('system', `${direction} ${name}`)
      return { output: { [name]: true }, transcript: [] }
    },
  }
  return {
    present,
    violations,
    executor,
    quiet: async () => {
      while (pending.size > 0) await Promise.all(pending)
    },
  }
}

type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never

const play = async ({ steps, behaviour, ticks, crashes, rivals, cancelAt, unwind }: Scenario) => {
  const shape = steps.map((needs, at) => ({
    name: `s${at}`,
    needs: [...new Set(needs.filter((need) => need < at))],
  }))
  const definition = plainSaga(shape, { attempts: 3, undoAttempts: 4 })
  const world = createWorld(definition, {
    behaviour: () => behaviour.next().value,
    ticks: () => ticks.next().value,
  })
  const { journal: log, entries } = memoryJournal()
  let now = 0
  const clock: Clock = {
    now: () => now,
    elapsed: () => now,
    delay: async (ms) => (await tick(5), void (now += ms)),
  }
  let appends = 0
  let owners = 0
  const background: Promise<unknown>[] = []

  const parts = (): RunParts => {
    let dead = false
    const journal: Journal = {
      read: async () => {
        if (dead) throw new Crash()
        await tick(2)
        return log.read()
      },
      append: async (record, position) => {
        if (dead) throw new Crash()
        const count = ++appends
        if (rivals.includes(count)) background.push(work().catch(ignoreDeath))
        if (cancelAt === count) background.push(cancel().catch(ignoreDeath))
        const crash = crashes.find(({ at }) => at === count)
        if (crash && !crash.after) dead = true
        if (dead) throw new Crash()
        await tick(3)
        const sequence = await log.append(record, position)
        if (crash) dead = true
        if (dead) throw new Crash()
        return sequence
      },
    }
    const executor: Executor = {
      act: (request) => {
        if (dead) throw new Crash()
        return world.executor.act(request)
      },
    }
    return { definition, journal, executor, clock, owner: `run${++owners}` }
  }

  const ignoreDeath = (error: unknown) => {
    if (!(error instanceof Crash || error instanceof Lost)) throw error
  }

  const cancel = async () => {
    const content = await log.read()
    if (content.entries.length > 0) await createRun(parts(), content).cancel('by the model')
  }

  /** What an orchestrator does with a delivered command. */
  const work = async (): Promise<void> => {
    const content = await log.read()
    const state = foldJournal(content)
    if (state?.phase === 'ended') return
    const run = createRun(parts(), content)
    if (await (state ? run.resume() : run.start({}))) await run.toRest()
  }

  const settle = async () => {
    for (let delivery = 0; ; delivery++) {
      if (delivery > 200) throw new Error('the saga does not end')
      await work().catch(ignoreDeath)
      await Promise.all(background.splice(0))
      if (foldJournal(await log.read())?.phase === 'ended') return
    }
  }

  await settle()
  const first = foldJournal(await log.read())?.outcome
  if (unwind && (first === 'completed' || first === 'stuck')) {
    const run = createRun(parts(), await log.read())
    await run
      .unwind('by the model')
      .then(() => run.toRest())
      .catch(ignoreDeath)
    await settle()
  }
  await world.quiet()
  return { definition, entries, world }
}

test(`sagas keep their promises in ${runs} random histories`, async (t) => {
  t.timeout(300_000)
  const seen: Record<string, number> = {}
  const property = fc.asyncProperty(scenario, async (chosen) => {
    const { definition, entries, world } = await play(chosen)
    if (world.violations.length > 0) throw new Error(world.violations.join('; '))
    const state = foldJournal({ entries, sequence: entries.length })
    const outcome = state?.outcome ?? 'none'
    seen[outcome] = (seen[outcome] ?? 0) + 1
    const names = definition.steps.map(({ contract }) => contract.name)
    const present = names.filter((name) => world.present.has(name))
    const left = names.filter(
      (name) => !['idle', 'undone', 'skipped'].includes(state?.steps[name]?.status ?? 'idle'),
    )
    if (outcome === 'completed' && present.length !== names.length)
      throw new Error(`completed, but only ${present.join()}`)
    if ((outcome === 'compensated' || outcome === 'undone') && present.length > 0)
      throw new Error(`${outcome}, but left ${present.join()}`)
    if (outcome === 'stuck' && !present.every((name) => left.includes(name)))
      throw new Error(`stuck names ${left.join()}, but left ${present.join()}`)
    const begun = entries.filter(
      ({ record }) => record.kind === 'started' || record.kind === 'unwinding',
    ).length
    const ended = entries.filter(({ record }) => record.kind === 'ended').length
    if (begun !== ended) throw new Error(`${begun} begun, ${ended} outcomes`)
  })
  const seed = Number(process.env['DOLLY_MODEL_SEED'] ?? Date.now() % 2 ** 31)
  t.log(`seed ${seed}`)
  await fc.assert(property, { numRuns: runs, seed })
  t.log(JSON.stringify(seen))
  for (const outcome of ['completed', 'compensated', 'undone', 'stuck'])
    t.true((seen[outcome] ?? 0) > 0, `${outcome} was reached`)
})
