import { styleText } from 'node:util'
import { z } from 'zod'
import type { CloudEvent } from '../../../shared/contracts/event.ts'
import { Transition } from '../../../shared/contracts/journal.ts'
import { shortMs } from './time.ts'

/** A step that takes longer than this gets a spinner: loading one costs more than most launches take. */
const patienceMs = 150

const Journaled = z.object({ record: z.object({ transitions: z.array(Transition) }) })

/** What an event says of a saga's steps; nothing when it is no journal record. */
export const transitionsOf = ({ data }: CloudEvent): Transition[] =>
  Journaled.safeParse(data).data?.record.transitions ?? []

/** Shows the steps of a launch or a deletion as they happen. */
export interface StepDisplay extends Disposable {
  show(event: CloudEvent): void
}

type Style = Parameters<typeof styleText>[0]

const words: Record<Transition['status'], { mark: string; style: Style; verb: string } | undefined> = {
  doing: undefined,
  undoing: undefined,
  done: { mark: '✔', style: 'green', verb: 'done' },
  undone: { mark: '↩', style: 'yellow', verb: 'undone' },
  failed: { mark: '✖', style: 'red', verb: 'failed' },
  leaked: { mark: '✖', style: 'red', verb: 'leaked' },
  skipped: { mark: '–', style: 'dim', verb: 'skipped' },
}

/** The line of a finished transition; undefined for one that only begins. */
export const stepLine = (
  transition: Transition,
  paint: (style: Style, text: string) => string,
): string | undefined => {
  const word = words[transition.status]
  if (!word) return undefined
  const took =
    'durationMs' in transition && transition.durationMs !== undefined ? shortMs(transition.durationMs) : ''
  const why = 'error' in transition ? `: ${transition.error.reason.replaceAll(/\s+/g, ' ')}` : ''
  return `${paint(word.style, word.mark)} ${transition.step} ${word.verb}${why} ${paint('dim', took)}`.trimEnd()
}

const plain = (): StepDisplay => ({
  show: (event) => {
    for (const transition of transitionsOf(event)) {
      const line = stepLine(transition, (_, text) => text)
      if (line) process.stderr.write(`${line}\n`)
    }
  },
  [Symbol.dispose]: () => {},
})

const live = (): StepDisplay => {
  const running = new Map<string, string>()
  const paint = (style: Style, text: string) => styleText(style, text, { stream: process.stderr })
  let spinner: { text: string; clear(): unknown; stop(): unknown } | undefined
  let over = false

  const text = () => [...running].map(([step, verb]) => `${step} ${verb}`).join(', ')
  const spin = async () => {
    const { default: ora } = await import('ora')
    if (!over) spinner = ora({ text: text(), discardStdin: false }).start()
  }
  const timer = setTimeout(() => void spin(), patienceMs)

  return {
    show: (event) => {
      for (const transition of transitionsOf(event)) {
        const line = stepLine(transition, paint)
        if (!line) {
          running.set(transition.step, transition.status)
          continue
        }
        running.delete(transition.step)
        spinner?.clear()
        process.stderr.write(`${line}\n`)
      }
      if (spinner) spinner.text = text()
    },
    [Symbol.dispose]: () => {
      over = true
      clearTimeout(timer)
      spinner?.stop()
    },
  }
}

/** A live list on a terminal, plain lines elsewhere, nothing when quiet; always on standard error. */
export const stepDisplay = ({ quiet }: { quiet: boolean }): StepDisplay => {
  if (quiet) return { show: () => {}, [Symbol.dispose]: () => {} }
  // A terminal that does not know its width (0) would make the spinner count lines for ever.
  return process.stderr.isTTY && process.stderr.columns > 0 ? live() : plain()
}
