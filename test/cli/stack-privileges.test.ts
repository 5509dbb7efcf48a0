import { readFileSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { confined, keptBy, keptCapabilities } from '../../services/cli/stack/service-privileges.ts'
import { capabilityNames } from '../../shared/capabilities.ts'
import { run } from '../../shared/recorder.ts'
import { type Stack, startStack } from '../helpers/stack.ts'

let stack: Stack

test.before(async () => {
  stack = await startStack()
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

const statusOf = (pid: number) => {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1')
  return (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? ''
}

const namesOf = (mask: string): string[] =>
  capabilityNames.filter((_, number) => (BigInt(`0x${mask}`) >> BigInt(number)) & 1n)

/** What this host's root may have at all. */
const there = new Set(
  namesOf(/^CapBnd:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? ''),
)

test('each program of the stack has the capabilities of its table and no way to others', (t) => {
  for (const name of Object.keys(keptCapabilities)) {
    const kept = keptBy(name) ?? {}
    const pid = stack.info.pids[name] ?? 0
    const status = statusOf(pid)
    for (const set of ['CapBnd', 'CapPrm', 'CapEff'])
      t.deepEqual(
        namesOf(status(set)).toSorted(),
        Object.keys(kept)
          .filter((capability) => there.has(capability))
          .toSorted(),
        `${name} ${set}`,
      )
    t.is(status('NoNewPrivs'), name === 'namespace' ? '0' : '1', name)
  }
})

test('a program finds its files in a directory that only their owner may enter', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'dolly-test-home-'))
  t.teardown(() => rm(home, { recursive: true }))
  const project = join(home, 'dolly')
  await mkdir(join(project, 'services'), { recursive: true })
  await writeFile(join(project, 'services/main'), 'found')
  const read = (where: string) => {
    const { command, args } = confined(
      stack.config,
      'orchestrator',
      '/bin/cat',
      [join(project, 'services/main')],
      where,
    )
    return run(command, args)
  }
  t.is(await read(project), 'found')
  t.deepEqual(keptBy('orchestrator', project), {})
  await chown(home, 1000, 1000)
  await chmod(home, 0o700)
  await t.throwsAsync(read('/'), { message: /Permission denied/ })
  t.is(await read(project), 'found')
})

test('the bus takes no processor from who wakes it', (t) => {
  const stat = readFileSync(`/proc/${stack.info.pids['nats-server']}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  t.is(fields[38], '3', 'SCHED_BATCH, the 41st field of proc_pid_stat(5)')
})

test('what a service starts has no more than the service', (t) => {
  const [storage] = readFileSync(
    `/proc/${stack.info.pids['storage']}/task/${stack.info.pids['storage']}/children`,
    'latin1',
  ).split(' ')
  const status = statusOf(Number(storage))
  t.deepEqual(namesOf(status('CapEff')).toSorted(), Object.keys(keptCapabilities['storage'] ?? {}).toSorted())
})
