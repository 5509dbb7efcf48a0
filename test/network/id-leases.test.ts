import test from 'ava'
import { createIdLeases } from '../../services/network/id-leases.ts'
import { idsPerContainer } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import { temporaryConfig } from '../helpers/host.ts'

// Above the default pool, where no other stack of this machine leases.
const pool = (ranges: number, offset = 0) => `${2_400_059_392 + offset}:${ranges * idsPerContainer}`

test('a range is its container’s however often it is asked for, until it is given back', async (t) => {
  await using temporary = await temporaryConfig({ DOLLY_ID_POOL: pool(4) })
  const leases = createIdLeases(temporary.config)
  const { first, fresh } = leases.lease('a')
  t.true(fresh)
  t.deepEqual(leases.lease('a'), { first, fresh: false })
  t.deepEqual(
    createIdLeases(temporary.config).lease('a'),
    { first, fresh: false },
    'a restarted service knows',
  )
  t.deepEqual(leases.all(), [{ id: 'a', first }])
  leases.release('a')
  leases.release('a')
  t.deepEqual(leases.all(), [])
  t.not(leases.lease('b').first, first, 'it rests')
  leases.release('b')
  leases.end()
})

test('stacks that share a pool never share a range, and a full pool says so', async (t) => {
  const env = { DOLLY_ID_POOL: pool(6, 8 * idsPerContainer) }
  await using one = await temporaryConfig(env)
  await using other = await temporaryConfig(env)
  const [first, second] = [createIdLeases(one.config), createIdLeases(other.config)]
  const ids = ['a', 'b', 'c']
  const taken = ids.flatMap((id) => [first.lease(id).first, second.lease(id).first])
  t.is(new Set(taken).size, 6)
  t.true(taken.every((id) => id % idsPerContainer === taken[0]! % idsPerContainer))
  const full = t.throws(() => first.lease('d'), { instanceOf: Failure })
  t.is(full?.code, 'no_capacity')
  t.regex(full?.message ?? '', /^cannot lease user ids to d: all 6 ranges from \d+ on are in use$/)
  second.release('a')
  t.notThrows(() => first.lease('d'))
  for (const id of [...ids, 'd']) for (const leases of [first, second]) leases.release(id)
  first.end()
})

for (const text of ['many', '0:65536', '65536', '100000:65535', '4294901760:131072', '-1:65536']) {
  test(`DOLLY_ID_POOL "${text}" is refused with what would be right`, async (t) => {
    const refused = await t.throwsAsync(temporaryConfig({ DOLLY_ID_POOL: text }), { instanceOf: Failure })
    t.is(refused?.code, 'invalid_message')
    t.regex(refused?.message ?? '', /cannot use DOLLY_ID_POOL ".*": give the first id/)
  })
}
