import fc from 'fast-check'
import test from 'ava'
import { createDetachFilter, parseDetachKeys } from '../../services/cli/commands/attach/detach-keys.ts'

const type = (keys: string, ...chunks: string[]) => {
  const filter = createDetachFilter(parseDetachKeys(keys))
  let forwarded = ''
  for (const chunk of chunks) {
    const { forward, detached } = filter(Buffer.from(chunk))
    forwarded += forward.toString()
    if (detached) return { forwarded, detached }
  }
  return { forwarded, detached: false }
}

test('the keys are named as in Docker', (t) => {
  t.deepEqual(parseDetachKeys('ctrl-p,ctrl-q'), [16, 17])
  t.deepEqual(parseDetachKeys('a,ctrl-@,ctrl-],ctrl-_'), [97, 0, 29, 31])
  t.throws(() => parseDetachKeys('ctrl-1'), { message: /cannot use detach key "ctrl-1"/ })
})

test('the keys detach, also from chunk to chunk, and do not reach the container', (t) => {
  t.deepEqual(type('ctrl-p,ctrl-q', 'ls\r\x10\x11rest'), { forwarded: 'ls\r', detached: true })
  t.deepEqual(type('ctrl-p,ctrl-q', 'a\x10', '\x11'), { forwarded: 'a', detached: true })
})

test('a beginning that does not go on is typed after all', (t) => {
  t.deepEqual(type('ctrl-p,ctrl-q', '\x10', 'x'), { forwarded: '\x10x', detached: false })
  t.deepEqual(type('ctrl-p,ctrl-q', '\x10\x10\x11'), { forwarded: '\x10', detached: true })
})

test('typing without the first key passes unchanged', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string()), (chunks) => {
      const clean = chunks.map((chunk) => chunk.replaceAll('\x10', ''))
      t.deepEqual(type('ctrl-p,ctrl-q', ...clean), { forwarded: clean.join(''), detached: false })
    }),
  )
})
