import { setTimeout as delay } from 'node:timers/promises'
import { type Coprocess, type TaskReply, errnoWords } from '../../shared/coprocess.ts'
import { Failure } from '../../shared/failure.ts'
import { patienceMs } from '../../shared/patience.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { interfaces } from './interfaces.ts'

const goneWithinMs = patienceMs(10_000)

/**
 * Deletes interfaces without waiting for the kernel's last word: it answers when every RCU reader is done, 25 ms
 * later, but the name is free after 1.5 ms. By number: a name may be of the next interface by the time the kernel
 * comes to the request.
 */
export const createLinkRemover = (program: Coprocess) => {
  const remove = async (name: string, index: number): Promise<void> => {
    let answer: TaskReply | Failure | undefined
    void program.ask(['delete', `${index}`]).then(
      (reply) => (answer = reply),
      (failure: Failure) => (answer = failure),
    )
    const deadline = performance.now() + goneWithinMs
    while (interfaces.exists(name) && (interfaces.index(name) ?? index) === index) {
      if (answer instanceof Failure) throw answer
      if (answer && answer.errno !== 0)
        throw new Failure('system', `ip link delete dev ${name}: ${errnoWords(answer.errno).join(': ')}`)
      if (performance.now() > deadline)
        throw new Failure('timeout', `it is still there after ${goneWithinMs} ms`)
      await delay(1)
    }
  }

  return {
    /** Deletes the interface; resolves when its name is free. Absent is success. */
    remove: async (record: Recorder, name: string): Promise<void> => {
      const index = interfaces.index(name)
      if (index !== undefined) await record.call(`ip link delete dev ${name}`, () => remove(name, index))
    },
  }
}

export type LinkRemover = ReturnType<typeof createLinkRemover>
