import { constants } from 'node:os'
import { Failure } from '../../shared/failure.ts'

const realtime = { min: 34, max: 64 }

const byName = (name: string): number | undefined => {
  const known = (constants.signals as Record<string, number>)[name]
  if (known !== undefined) return known
  const [, base, sign, offset] = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name) ?? []
  if (!base) return undefined
  const number =
    (base === 'MIN' ? realtime.min : realtime.max) + (sign === '-' ? -1 : 1) * Number(offset ?? 0)
  return number >= realtime.min && number <= realtime.max ? number : undefined
}

/** The number of a signal given as `SIGTERM`, `TERM` or `15`. Throws `Failure` (`invalid_message`). */
export const signalNumber = (text: string): number => {
  const number = /^\d+$/.test(text) ? Number(text) : byName(`SIG${text.toUpperCase().replace(/^SIG/, '')}`)
  if (number !== undefined && number >= 1 && number <= realtime.max) return number
  throw new Failure('invalid_message', `cannot send signal "${text}": there is no such signal`)
}
