import { readFileSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import type { Container } from '../../shared/contracts/container.ts'
import { run } from '../../shared/recorder.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import * as kernel from '../helpers/kernel-facts.ts'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient

test.before(async () => {
  stack = await startStack({ DOLLY_ALLOW_PRIVILEGED: 'on' })
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

/** The host's ids that a container's user namespace maps. */
const rangeOf = ({ pid }: Container): { first: number; end: number } => {
  const [, first = 0, size = 0] = readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).map(Number)
  return { first, end: first + size }
}
const field = (pid: number | undefined, name: string): string =>
  new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
/** As the root of a container would be, had it come out of it. */
const asRootOf = (container: Container, words: string[]) => {
  const id = String(rangeOf(container).first)
  return run('setpriv', [`--reuid=${id}`, `--regid=${id}`, '--clear-groups', ...words])
}

test('each container has ids of its own, leased while it is there', async (t) => {
  const made = await Promise.all([1, 2, 3, 4].map(() => containerFor(t, client)))
  const ranges = made.map(rangeOf).toSorted((a, b) => a.first - b.first)
  t.true(ranges.every(({ first, end }) => first >= 65_536 && end - first === 65_536))
  t.true(
    ranges.slice(1).every(({ first }, index) => first >= ranges[index]!.end),
    'none overlaps another',
  )
  for (const { pid } of made) {
    t.is(field(pid, 'Seccomp'), '2')
    t.is(field(pid, 'CapEff'), '00000000800405fb')
    t.is(field(pid, 'NoNewPrivs'), '1')
  }
  const [{ id } = { id: '' }] = made
  await client.remove(id)
  t.deepEqual(await client.leaks(), [])
})

test('the root of one container reaches neither files nor processes of another, even from outside', async (t) => {
  const [attacker, victim] = await Promise.all([containerFor(t, client), containerFor(t, client)])
  await client.exec(victim.id, ['sh', '-c', 'echo secret > /root/secret'])
  const file = join(stack.config.names.rootfs(victim.id), 'root/secret')
  t.is(statSync(file).uid, 0, 'unshifted on disk')
  await t.throwsAsync(asRootOf(attacker, ['cat', file]), { message: /Permission denied/ })
  await t.throwsAsync(asRootOf(attacker, ['cat', `/proc/${victim.pid}/root/root/secret`]), {
    message: /Permission denied/,
  })
  await t.throwsAsync(asRootOf(attacker, ['/bin/kill', '-0', String(victim.pid)]), {
    message: /not permitted/,
  })
  const seen = await client.exec(attacker.id, [
    'sh',
    '-c',
    `ls -d /proc/[0-9]* | wc -l; kill -0 ${victim.pid}`,
  ])
  t.regex(seen.output, /No such process/)
})

test('a fork bomb stays under its limit of processes, and another container starts meanwhile', async (t) => {
  const bomb = await containerFor(t, client, {
    command: ['sh', '-c', 'sh -c "while :; do sleep 1000 & done" & sleep 1000'],
    pids_limit: 40,
    cpus: 0.2,
  })
  const said = (file: string) => kernel.cgroupFile(bomb.pid ?? 0, 'pids', { v1: file, v2: file })
  await eventually('it was refused a fork', async () => /max [1-9]/.test(await said('pids.events')), 30_000)
  const { id } = await containerFor(t, client)
  t.is((await client.exec(id, ['true'])).exitCode, 0)
  t.true(Number(await said('pids.current')) <= 40)
  await client.remove(bomb.id)
  t.deepEqual(await client.leaks(), [])
})

test('one that takes all memory is killed alone, and its end says why', async (t) => {
  const { id } = await containerFor(t, client, {
    command: ['sh', '-c', 'tail /dev/zero'],
    mem_limit: '32M',
    memswap_limit: '32M',
  })
  const { data } = await client.exited(id)
  t.like(data, { exitCode: 137, oomKilled: true })
})

test('userns_mode host, and a privileged container, are root of the host, and the log says so', async (t) => {
  const host = await containerFor(t, client, { userns_mode: 'host' })
  t.is(await kernel.namespaceOf(host.pid ?? 0, 'user'), await kernel.namespaceOf('self', 'user'))
  t.is(field(host.pid, 'CapEff'), '00000000800405fb')
  const privileged = await containerFor(t, client, { privileged: true })
  t.is(field(privileged.pid, 'Uid'), '0')
  t.is(field(privileged.pid, 'Seccomp'), '0')
  const [, launched = ''] = /^CapBnd:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  t.is(field(privileged.pid, 'CapEff'), launched, 'every one that the host gives')
  const points = (await kernel.mountsOf(privileged.pid ?? 0)).map(({ mountPoint }) => mountPoint)
  t.false(points.some((point) => point.startsWith('/proc/')))
  const [running] = client.eventsOf(privileged.id, 'container.running')
  t.is(running?.data['privileged'], true)
  const contradiction = { image: 'busybox', privileged: true, userns_mode: 'auto' }
  t.is((await client.tryCreate(contradiction)).type, 'container.rejected')
})

test('a seccomp profile is the message’s own text: a file is read by the client alone', async (t) => {
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
  }
  const security_opt = [`seccomp=${JSON.stringify(profile)}`]
  const { id, pid } = await containerFor(t, client, { security_opt })
  t.is(field(pid, 'Seccomp'), '2')
  t.regex((await client.exec(id, ['mkdir', '/x'])).output, /Permission denied/)
  const file = join(stack.config.root, 'profile.json')
  await writeFile(file, JSON.stringify(profile))
  for (const [option, reason] of [
    [`seccomp=${file}`, /is no profile: give "unconfined" or the text of a profile/],
    ['seccomp={', /the seccomp profile is no JSON/],
    ['seccomp={"defaultAction":"ALLOW"}', /the seccomp profile's defaultAction: /],
  ] as const) {
    const refused = await client.tryCreate({ id: ulid(), image: 'busybox', security_opt: [option] })
    t.is(refused.type, 'container.rejected')
    t.regex(String(refused.data['reason']), reason)
  }
  const free = await containerFor(t, client, { security_opt: ['seccomp=unconfined'] })
  t.is(field(free.pid, 'Seccomp'), '0')
})
