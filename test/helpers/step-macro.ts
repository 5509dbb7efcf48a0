import test, { type ExecutionContext } from 'ava'
import type { StepContract } from '../../shared/contracts/contract.ts'

export interface StepUnderTest {
  contract: StepContract
  send: (verb: string, body: unknown) => Promise<unknown>
  /** A valid input for the container `id`. */
  input: (id: string) => object
  /** What the kernel shows of the container `id`, read without our own records; empty when nothing is there. */
  inspect: (id: string) => Promise<readonly string[]>
  /** Makes what an interrupted `do` could leave, without using the service. */
  half: (id: string) => Promise<void>
}

/** What every step must do on the real kernel: the same macro for each service. */
export const stepMacro = test.macro({
  title: (_, name: string) => `${name}: do and undo are idempotent on the real kernel`,
  async exec(t: ExecutionContext, _name: string, make: () => Promise<StepUnderTest & AsyncDisposable>) {
    await using step = await make()
    const { contract, send, input, inspect, half } = step
    const [act, undo] = [contract.doVerb, contract.undoVerb]

    await t.notThrowsAsync(send(undo, input('never')), 'undo without do succeeds')
    t.deepEqual(await inspect('never'), [])

    const first = contract.output.parse(await send(act, input('twice')))
    const made = await inspect('twice')
    t.not(made.length, 0, 'do makes something the kernel shows')
    t.deepEqual(contract.output.parse(await send(act, input('twice'))), first, 'do twice answers the same')
    t.deepEqual(await inspect('twice'), made, 'do twice makes one thing')
    await send(undo, input('twice'))
    t.deepEqual(await inspect('twice'), [], 'undo leaves nothing')
    await send(undo, input('twice'))
    t.deepEqual(await inspect('twice'), [], 'undo twice succeeds')

    await half('half')
    contract.output.parse(await send(act, input('half')))
    t.is((await inspect('half')).length, made.length, 'do completes what an earlier do left half done')
    await send(undo, input('half'))
    t.deepEqual(await inspect('half'), [])

    await half('broken')
    await send(undo, input('broken'))
    t.deepEqual(await inspect('broken'), [], 'undo removes what an earlier do left half done')
  },
})
