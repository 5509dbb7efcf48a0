import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { requireOwnPool } from '../../services/network/subordinate-ids.ts'
import { Failure } from '../../shared/failure.ts'
import { temporaryConfig } from '../helpers/host.ts'

test('a pool of ids that a user of the host has is refused with whose they are', async (t) => {
  await using temporary = await temporaryConfig({ DOLLY_ID_POOL: '1000000:131072' })
  const { config } = temporary
  const file = join(config.root, 'subgid')
  const says = async (text: string) => {
    await writeFile(file, text)
    requireOwnPool(config, [join(config.root, 'absent'), file])
  }
  await t.notThrowsAsync(says('# none\n\nann:100000:65536\nbob:1131072:65536\neve:999999:1\nodd:line\n'))
  for (const range of ['1131071:1', '0:4294967295', '1065536:10', '999999:2']) {
    const refused = await t.throwsAsync(says(`ann:1:1\nbob:${range}\n`), { instanceOf: Failure }, range)
    t.is(refused?.code, 'host_unfit')
    t.is(
      refused?.message,
      `cannot use user ids 1000000 to 1131071 for containers: ${file} gives ${range} to bob; set DOLLY_ID_POOL to ids of nobody`,
    )
  }
})
