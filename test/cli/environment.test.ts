import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { envFileEntries, environmentOf } from '../../services/cli/commands/launch/environment.ts'
import { keyValues } from '../../services/cli/commands/launch/key-values.ts'
import { temporaryConfig } from '../helpers/host.ts'

test('an env file has comments, empty lines and values as they stand', (t) => {
  t.deepEqual(envFileEntries('# about\nA=1\n\n  B="two words" \r\nC\nD=\n'), [
    'A=1',
    'B="two words" ',
    'C',
    'D=',
  ])
})

test('a name alone takes the caller’s value, and is left out when it has none', async (t) => {
  t.deepEqual(await environmentOf({ env: ['HERE', 'GONE', 'X=1'] }, { HERE: 'yes' }), ['HERE=yes', 'X=1'])
})

test('a flag beats the file, and the last of a name wins', async (t) => {
  await using temporary = await temporaryConfig()
  const file = join(temporary.config.root, 'env')
  await writeFile(file, 'A=file\nB=file\n')
  t.deepEqual(await environmentOf({ envFile: [file], env: ['A=flag', 'A=last'] }, {}), ['A=last', 'B=file'])
})

test('a file that is not there and an entry without a name are refused', async (t) => {
  await t.throwsAsync(environmentOf({ envFile: ['/nowhere/env'] }), {
    message: /cannot read --env-file \/nowhere\/env/,
  })
  await t.throwsAsync(environmentOf({ env: ['=x'] }), { message: /cannot use variable "=x"/ })
})

test('a pair is split at its first equals sign', (t) => {
  t.deepEqual(keyValues(['a=b=c', 'd', 'e=']), { a: 'b=c', d: '', e: '' })
})
