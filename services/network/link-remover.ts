import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { patienceMs } from '../../shared/patience.ts'
import { interfaces } from './interfaces.ts'
import { type IpBatch, startIpBatch } from './ip-batch.ts'

const most = 4
const goneWithinMs = patienceMs(10_000)

/**
 * Deletes interfaces without waiting for the kernel's last word. `ip link delete` returns only when every
 * RCU reader is done, 25 ms later, but the name is free after 1.5 ms: those who wait are processes of
 * their own, several so that one deletion need not queue behind another.
 */
export const createLinkRemover = () => {
  let removers: { batch: IpBatch; busy: number }[] = []

  const leastBusy = () => {
    for (const { batch } of removers) if (!batch.isUsable()) batch.end()
    removers = removers.filter(({ batch }) => batch.isUsable())
    const idle = removers.find(({ busy }) => busy === 0)
    if (idle) return idle
    if (removers.length >= most) return removers.toSorted((a, b) => a.busy - b.busy)[0]!
    const remover = { batch: startIpBatch(), busy: 0 }
    removers.push(remover)
    return remover
  }

  const remove = async (name: string): Promise<void> => {
    const remover = leastBusy()
    remover.busy++
    let answer: { failure: Failure | undefined } | undefined
    void remover.batch.send(`link delete dev ${name}`).then((failure) => {
      remover.busy--
      answer = { failure }
    })
    const deadline = performance.now() + goneWithinMs
    while (interfaces.exists(name)) {
      // The kernel may reap the interface with its namespace first: then ip finds no device, and that is success.
      if (answer?.failure && interfaces.exists(name)) throw answer.failure
      if (performance.now() > deadline)
        throw new Failure('timeout', `it is still there after ${goneWithinMs} ms`)
      await delay(1)
    }
  }

  return {
    /** Starts the first remover, so that the first deletion finds it ready. */
    ready: (): void => void leastBusy(),
    /** Deletes the interface; resolves when its name is free. Absent is success. */
    remove: async (record: Recorder, name: string): Promise<void> => {
      if (interfaces.exists(name)) await record.call(`ip link delete dev ${name}`, () => remove(name))
    },
    end: (): void => {
      for (const { batch } of removers.splice(0)) batch.end()
    },
  }
}

export type LinkRemover = ReturnType<typeof createLinkRemover>
