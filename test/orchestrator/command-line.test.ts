import test from 'ava'
import { splitCommand } from '../../services/orchestrator/command-line.ts'

const cases: [string, string[]][] = [
  ['', []],
  ['  sleep   10 ', ['sleep', '10']],
  ['sh -c "echo a; echo b"', ['sh', '-c', 'echo a; echo b']],
  ["printf '%s\\n' '$HOME'", ['printf', '%s\\n', '$HOME']],
  ['a\\ b c', ['a b', 'c']],
  ['a"b c"d\'e f\'', ['ab cde f']],
  ['"a \\"quoted\\" word"', ['a "quoted" word']],
  ["'' x", ['', 'x']],
  ['"\\\\ \\$"', ['\\ $']],
  ['a\tb\nc', ['a', 'b', 'c']],
]
for (const [text, words] of cases)
  test(`${JSON.stringify(text)} is ${JSON.stringify(words)}`, (t) => t.deepEqual(splitCommand(text), words))

for (const text of ['echo "open', "echo 'open", 'echo \\'])
  test(`${JSON.stringify(text)} has no end`, (t) => {
    t.throws(() => splitCommand(text), {
      code: 'invalid_message',
      message: /at character 6 has no end/,
    } as object)
  })
