import test from 'ava'
import { containerClient, containerFor } from '../helpers/container-client.ts'
import { startStack } from '../helpers/stack.ts'

test("smoke", async (t) => {
  t.log = console.log
  const t0 = performance.now()
  await using stack = await startStack()
  t.log('stack', performance.now() - t0)
  await using client = await containerClient(stack.config)
  const c = await client.create({ command: ['sleep', '1000'], ulimits: { nofile: 256 } })
  t.log(c.status, c.pid, c.address)
  t.log(await client.exec(c.id, ['ps']))
  const t1 = performance.now()
  const d = await client.create({ command: ['sleep', '1000'], cpu_quota: 1000, cpu_period: 100000 })
  t.log(performance.now() - t1, d.status)
  const t3 = performance.now()
  t.log(await client.exec(d.id, ['ps']), performance.now() - t3)
  await client.remove(c.id)
  t.log(await client.leaks())
})
