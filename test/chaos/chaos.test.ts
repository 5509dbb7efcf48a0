import test from 'ava'
import { runChaos } from './run.ts'

test('twenty seconds of kills: every accepted command has one outcome and the log explains every object', async (t) => {
  t.timeout(600_000)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.log(`seed ${seed}`)
  const report = await runChaos({ durationMs: 20_000, seed })
  t.log(JSON.stringify(report))
  t.true(report.commands > 20)
  t.true(Object.keys(report.kills).length > 2)
  const { missing, duplicates, stuck, leaks, disobeyed, absent } = report
  const nothing: string[] = []
  t.deepEqual(
    { missing, duplicates, stuck, leaks, disobeyed, absent },
    {
      missing: nothing,
      duplicates: nothing,
      stuck: nothing,
      leaks: nothing,
      disobeyed: nothing,
      absent: nothing,
    },
  )
})
