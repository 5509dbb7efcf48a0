import type { Command } from 'commander'
import type { Bus } from '../../../shared/bus.ts'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { forEachTarget } from '../output/failure.ts'
import { printLine } from '../output/print.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'
import { numeric } from './option-values.ts'

interface StopFlags {
  time?: number
  signal?: string
}

/** What a stop may take beyond the grace period: killing, reaping, writing it down. */
const marginMs = 30_000

const stopOne = async (bus: Bus, container: string, { time, signal }: StopFlags): Promise<void> => {
  const { spec } = await ask(bus, verbs.containerGet, { container })
  const graceMs = time === undefined ? spec.stopGraceMs : Math.round(time * 1000)
  const input = { container, timeoutMs: graceMs, ...(signal ? { signal } : {}) }
  await ask(bus, verbs.containerStop, input, { timeoutMs: graceMs + marginMs })
}

const stop = async (containers: string[], flags: StopFlags): Promise<void> => {
  await withSession(({ bus }) =>
    // At once: the grace periods of many containers must not add up.
    Promise.all(
      containers.map((target) =>
        stopOne(bus, target, flags).then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    ).then((results) =>
      forEachTarget('stop', containers, async (target) => {
        const error = results[containers.indexOf(target)]
        if (error !== undefined) throw error
        printLine(target)
      }),
    ),
  )
}

export const configure = (command: Command): void => {
  command
    .argument('<container...>', 'id or name')
    .option('-t, --time <seconds>', 'seconds to wait before killing', numeric)
    .option('-s, --signal <signal>', "signal to send instead of the container's")
    .action(stop)
}
