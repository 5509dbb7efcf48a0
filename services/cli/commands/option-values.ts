import { InvalidArgumentError } from 'commander'

/** For a flag that may be given again: each value is added. */
export const collect = (value: string, previous: string[] = []): string[] => [...previous, value]

/** For a flag that takes a number. Throws commander's error otherwise. */
export const numeric = (text: string): number => {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is not a number.')
  return value
}
