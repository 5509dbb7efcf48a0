import { readFile } from 'node:fs/promises'
import test from 'ava'
import { Failure } from '../../shared/failure.ts'
import { operating } from '../../shared/operating.ts'

test('an error of the system becomes a failure that says what could not be done', async (t) => {
  const failure = await t.throwsAsync(
    operating('read it', () => readFile('/absent')),
    { instanceOf: Failure },
  )
  t.is(failure.code, 'system')
  t.regex(failure.message, /^cannot read it: ENOENT/)
  t.truthy(failure.cause)
})

test('a full disk is no_space', async (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  await t.throwsAsync(
    operating('write it', () => Promise.reject(full)),
    { code: 'no_space' },
  )
})

test('failures and bugs pass as they are', async (t) => {
  const failure = new Failure('conflict', 'cannot do it')
  t.is(await t.throwsAsync(operating('x', () => Promise.reject(failure))), failure)
  const bug = new TypeError('not a function')
  t.is(await t.throwsAsync(operating('x', () => Promise.reject(bug))), bug)
  const misuse = Object.assign(new TypeError('bad argument'), { code: 'ERR_INVALID_ARG_TYPE' })
  t.is(await t.throwsAsync(operating('x', () => Promise.reject(misuse))), misuse)
})
