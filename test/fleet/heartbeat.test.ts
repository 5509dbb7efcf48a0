import test from 'ava'
import { type Node, NodeRecord } from '../../shared/contracts/node.ts'
import { dollyOf } from '../cli/dolly.ts'
import { eventually, startStack } from '../helpers/stack.ts'

test('a node is known by what its services say, and by those that answer no more', async (t) => {
  await using stack = await startStack({
    DOLLY_HEARTBEAT_MS: '300',
    DOLLY_NODE_LABELS: 'class=c7,disk=ssd',
    DOLLY_NODE_MEMORY: '1G',
  })
  const dolly = dollyOf(stack)
  const { node, subnet } = JSON.parse((await dolly(['info', '--json'])).stdout)
  const look = async () => {
    const { stdout } = await dolly(['node', 'inspect', node])
    return (JSON.parse(stdout) as Node[])[0]
  }
  await eventually('the node is ready', async () => (await look())?.status === 'ready')

  const record = await look()
  t.true(NodeRecord.safeParse(record).success)
  t.is(record?.subnet, subnet)
  t.deepEqual(record?.labels, { class: 'c7', disk: 'ssd' })
  t.is(record?.capacity.memory, 2 ** 30)
  t.true((record?.capacity.cpus ?? 0) > 0 && (record?.capacity.disk ?? 0) > 2 ** 28)
  t.is(record?.capacity.containers, 10_000)
  t.true(record?.images.includes('busybox:latest'))
  t.deepEqual(Object.keys(record?.services ?? {}).toSorted(), ['cgroup', 'namespace', 'network', 'storage'])
  t.regex(
    (await dolly(['node', 'ls'])).stdout,
    /^HOSTNAME +STATUS +ROLE +ENGINE VERSION\n\S+ \* +Ready +operator +\d/,
  )
  t.regex((await dolly(['node', 'inspect', 'other'])).stderr, /no such node: other/)

  await dolly(['run', '-d', '-q', '--name', 'one', 'busybox', 'sleep', '1000'])
  await eventually('it counts its container', async () => (await look())?.containers === 1)
  const pid = record?.services['storage']?.pid ?? 0
  process.kill(pid, 'SIGKILL')
  await eventually('the service is there again', async () => {
    const now = (await look())?.services['storage']?.pid
    return now !== undefined && now !== pid
  })
})
