import { Failure } from '../../shared/failure.ts'

/** Splits a command as a shell would, quotes and backslashes honoured, nothing expanded (as Compose does). */
export const splitCommand = (text: string): string[] => {
  const token = /\s+|"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)|([^\s"'\\]+)/gsy
  const words: string[] = []
  let word: string | undefined
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const match = token.exec(text)
    if (!match)
      throw new Failure('invalid_message', `command: a quote or backslash at character ${at + 1} has no end`)
    const [whole, double, single, escaped, plain] = match
    if (/^\s/.test(whole)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else {
      word = (word ?? '') + (double?.replaceAll(/\\(["\\$`])/g, '$1') ?? single ?? escaped ?? plain ?? '')
    }
  }
  return word === undefined ? words : [...words, word]
}
