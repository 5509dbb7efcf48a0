import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { labNetwork } from '../../shared/contracts/steps.ts'
import { Failure } from '../../shared/failure.ts'
import { run } from '../../shared/recorder.ts'
import { lockDockerBridge } from '../helpers/docker-bridge.ts'
import { kernelView, networkStack, ping } from './network-stack.ts'

test.before(lockDockerBridge)

const namespaceOf = (pid: number): string | undefined =>
  existsSync(`/proc/${pid}/ns/net`) ? readlinkSync(`/proc/${pid}/ns/net`) : undefined

/** A process that waits in an empty network namespace, as the lab's `unshare` does. */
const waitingProcess = async (t: ExecutionContext): Promise<number> => {
  const child = spawn('unshare', ['--net', 'sleep', '120'])
  t.teardown(() => child.kill('SIGKILL'))
  const deadline = Date.now() + 5000
  while (namespaceOf(child.pid ?? 0) === namespaceOf(process.pid)) {
    if (Date.now() > deadline) throw new Error('unshare made no namespace in 5 s')
    await delay(2)
  }
  return child.pid ?? 0
}

const attachOnce = async (t: ExecutionContext, bridge?: string) => {
  await using stack = await networkStack()
  const pid = await waitingProcess(t)
  const enter = ['nsenter', `--net=/proc/${pid}/ns/net`]
  const output = labNetwork.output.parse(await stack.send('attach', { id: 'lab', pid }))
  t.is(output.hostInterface, `h${pid}`)
  t.is(readlinkSync(`/sys/class/net/h${pid}/master`).split('/').at(-1), bridge ?? stack.config.names.bridge)
  t.deepEqual((await kernelView(enter)).addresses, ['lo 127.0.0.1/8', `eth0 ${output.address}`])
  t.true((await kernelView(enter)).routes.includes(`default via ${output.gateway} dev eth0`))
  await t.notThrowsAsync(ping(enter, output.gateway ?? ''))
  t.deepEqual(await stack.send('attach', { id: 'lab', pid }), output, 'attach twice answers the same')
  t.deepEqual(
    (await stack.listed()).flatMap(({ kind, container }) => (container === 'lab' ? [kind] : [])),
    ['address', 'veth'],
  )
  await stack.send('detach', { id: 'lab' })
  await stack.send('detach', { id: 'lab' })
  t.false(readdirSync('/sys/class/net').includes(`h${pid}`))
  t.deepEqual(
    (await stack.listed()).filter(({ container }) => container),
    [],
  )
  return output
}

test.serial("without docker0 the lab's veth is on the stack's own bridge", async (t) => {
  if (existsSync('/sys/class/net/docker0')) {
    t.pass('this host has a docker0')
    return
  }
  await attachOnce(t)
})

test.serial("with docker0 the lab's veth is on it, with the lab's address", async (t) => {
  if (!existsSync('/sys/class/net/docker0')) {
    await run('ip', ['link', 'add', 'name', 'docker0', 'type', 'bridge'])
    t.teardown(() => run('ip', ['link', 'delete', 'dev', 'docker0']))
    await run('ip', ['address', 'add', '172.17.0.1/16', 'dev', 'docker0'])
    await run('ip', ['link', 'set', 'dev', 'docker0', 'up'])
    t.like(await attachOnce(t, 'docker0'), { address: '172.17.0.128/16', gateway: '172.17.0.1' })
  } else await attachOnce(t, 'docker0')
})

test.serial(
  'attach completes what an interrupted attach left, and detach removes it without a pid',
  async (t) => {
    await using stack = await networkStack()
    const pid = await waitingProcess(t)
    const half = async () => {
      await run('ip', ['link', 'add', 'name', `h${pid}`, 'type', 'veth', 'peer', 'name', `c${pid}`])
      await run('ip', [
        'link',
        'property',
        'add',
        'dev',
        `h${pid}`,
        'altname',
        stack.config.names.veth('lab'),
      ])
    }
    await half()
    await stack.send('attach', { id: 'lab', pid })
    await stack.send('detach', { id: 'lab' })
    await half()
    await stack.send('detach', { id: 'lab' })
    t.false(existsSync(`/sys/class/net/h${pid}`))
    t.false(existsSync(`/sys/class/net/c${pid}`))
  },
)

test.serial(
  'attach without a pid, or to a process that is gone, is refused and leaves nothing after detach',
  async (t) => {
    await using stack = await networkStack()
    const missing = await t.throwsAsync(stack.send('attach', { id: 'lab' }), { instanceOf: Failure })
    t.is(missing?.code, 'invalid_message')
    await t.throwsAsync(stack.send('attach', { id: 'lab', pid: 4_194_303 }), {
      instanceOf: Failure,
      message: /cannot attach lab/,
    })
    await stack.send('detach', { id: 'lab' })
    t.deepEqual(
      (await stack.listed()).filter(({ container }) => container),
      [],
    )
    t.false(existsSync('/sys/class/net/h4194303'))
  },
)
