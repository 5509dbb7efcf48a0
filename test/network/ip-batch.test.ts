import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { Failure } from '../../shared/failure.ts'
import { createRecorder, run } from '../../shared/recorder.ts'
import { createIpCoprocess, startIpBatch } from '../../services/network/ip-batch.ts'

const children = (): number[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)

const until = async (condition: () => boolean) => {
  const deadline = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true in 5 s')
    await delay(2)
  }
}

test.serial('each command is in the record, and a failed one carries what ip said', async (t) => {
  const record = createRecorder()
  const ip = createIpCoprocess()
  t.teardown(ip.end)
  await ip.run(record, ['link show dev lo'])
  const commands = ['link show dev lo', 'link show dev no-such-link', 'link show dev lo']
  const failure = await t.throwsAsync(ip.run(record, commands), { instanceOf: Failure })
  t.is(failure?.message, 'ip link show dev no-such-link: Device "no-such-link" does not exist.')
  await ip.run(record, ['link show dev lo'])
  t.deepEqual(
    record.entries.map(({ equivalent, error }) => [equivalent, error !== undefined]),
    [
      ['ip link show dev lo', false],
      ['ip link show dev lo', false],
      ['ip link show dev no-such-link', true],
      ['ip link show dev lo', false],
    ],
  )
})

test.serial('a co-process that dies is replaced', async (t) => {
  const ip = createIpCoprocess()
  t.teardown(ip.end)
  await ip.run(createRecorder(), ['link show dev lo'])
  const [pid = 0] = children()
  process.kill(pid, 'SIGKILL')
  await until(() => !children().includes(pid))
  await t.notThrowsAsync(ip.run(createRecorder(), ['link show dev lo']))
})

test.serial('a command that its co-process takes with it fails as interrupted', async (t) => {
  const batch = startIpBatch(['sh', '-c', 'read line; exit 3'])
  const failure = await batch.send('link show dev lo')
  t.is(failure?.code, 'interrupted')
  t.regex(failure?.message ?? '', /exit 3/)
  t.false(batch.isUsable())
  t.is((await batch.send('link show dev lo'))?.code, 'interrupted')
})

test.serial('a program that is not there fails the command', async (t) => {
  t.regex((await startIpBatch(['no-such-program']).send('link'))?.message ?? '', /ENOENT/)
})

test.serial('a failed command leaves no memory of an interface that is made anew', async (t) => {
  const [ip, name] = [createIpCoprocess(), `dt${process.pid}`]
  t.teardown(ip.end)
  const make = () => run('ip', ['link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', `${name}p`])
  const remove = () => run('ip', ['link', 'delete', 'dev', name], { allow: [1] })
  t.teardown(remove)
  await make()
  await t.throwsAsync(ip.run(createRecorder(), [`link set dev ${name} address 01:00:00:00:00:00`]), {
    instanceOf: Failure,
  })
  await remove()
  await make()
  await t.notThrowsAsync(ip.run(createRecorder(), [`link set dev ${name} up`]))
})
