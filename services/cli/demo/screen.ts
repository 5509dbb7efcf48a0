import { styleText } from 'node:util'
import type { CloudEvent } from '../../../shared/contracts/event.ts'
import type { TranscriptEntry } from '../../../shared/recorder.ts'
import { stepLine, transitionsOf } from '../output/steps.ts'
import { shortMs } from '../output/time.ts'

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const dim = (text: string): string => styleText('dim', text)
const maxLine = 132

export const heading = (text: string): void => print(`\n${styleText('bold', text)}`)

export const note = (text: string): void => print(`  ${text}`)

/** What was done to the host, each as the command that a person would type for it. */
const transcript = (entries: readonly TranscriptEntry[]): void => {
  for (const { equivalent, durationMs } of entries) {
    const [line = ''] = equivalent.split('\n')
    const shown = line.length > maxLine ? `${line.slice(0, maxLine - 1)}…` : line
    print(`      ${dim(shortMs(durationMs).padStart(7))}  ${shown}`)
  }
}

/** A journal record: its finished steps, with what each did to the host. */
export const showSteps = (event: CloudEvent): void => {
  for (const transition of transitionsOf(event)) {
    const line = stepLine(transition, (style, text) => styleText(style, text))
    if (!line) continue
    print(`  ${line}`)
    if ('transcript' in transition) transcript(transition.transcript ?? [])
  }
}

/** One claim, what was run or read to check it, and what came out. */
export const showProof = ({
  claim,
  shown,
  output,
  holds,
}: {
  claim: string
  shown: string
  output: string
  holds: boolean
}) => {
  print(`  ${holds ? styleText('green', '✔') : styleText('red', '✖')} ${claim}`)
  print(`      ${dim(shown)}`)
  for (const line of output.trim().split('\n').slice(0, 8)) print(`      ${line.slice(0, maxLine)}`)
}
