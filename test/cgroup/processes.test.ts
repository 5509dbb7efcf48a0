import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { cgroupPause, cgroupUnpause, objects, release } from '../../shared/contracts/operations.ts'
import { everyObject } from '../../shared/object-pages.ts'
import { cgroupRoots, cgroupStack, failureOf } from './cgroup-stack.ts'

/** A process in every cgroup of a container that forks children of its own for ever. */
const startForking = async (directories: readonly string[]) => {
  const join_ = directories.map((directory) => `echo 0 > ${directory}/cgroup.procs`).join(';')
  const child = spawn(
    '/bin/sh',
    ['-c', `${join_}; sleep 1000 & echo ready; while :; do sleep 0.01 & wait $!; done`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  return { pid: child.pid ?? 0, exited }
}

const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0]

test('undo kills every process in the cgroup, also those that fork', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('busy')
  const { exited } = await startForking(cgroupDirectories)
  await stack.undo('busy')
  const [, signal] = await exited
  t.is(signal, 'SIGKILL')
  t.deepEqual(stack.directories('busy'), [])
})

test('undo removes the cgroups that a container made inside its own', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('nested')
  for (const directory of cgroupDirectories) mkdirSync(join(directory, 'a/b'), { recursive: true })
  const inner = cgroupDirectories
    .filter((directory) => !directory.includes('cpuset'))
    .map((directory) => join(directory, 'a/b'))
  const { exited } = await startForking(inner)
  await stack.undo('nested')
  await exited
  t.deepEqual(stack.directories('nested'), [])
})

test('undo removes a container that is paused', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('paused')
  const { exited } = await startForking(cgroupDirectories)
  await stack.request(cgroupPause, { id: 'paused' })
  await stack.undo('paused')
  await exited
  t.deepEqual(stack.directories('paused'), [])
})

const v1Freezer = cgroupRoots.find((root) => root.endsWith('/freezer'))
;(v1Freezer ? test : test.skip)(
  'undo removes a container that something froze with the v1 freezer',
  async (t) => {
    await using stack = await cgroupStack()
    const { cgroupDirectories } = await stack.make('frozen')
    const { exited } = await startForking(cgroupDirectories)
    writeFileSync(`${v1Freezer}${stack.config.names.cgroup('frozen')}/freezer.state`, 'FROZEN')
    await stack.undo('frozen')
    await exited
    t.deepEqual(stack.directories('frozen'), [])
  },
)

test('a paused container does not run until it is unpaused', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('sleeper')
  const { pid, exited } = await startForking(cgroupDirectories)
  await stack.request(cgroupPause, { id: 'sleeper' })
  await stack.request(cgroupPause, { id: 'sleeper' })
  const ticks = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 17).join()
  const before = ticks()
  t.true(['S', 'D', 'T'].includes(stateOf(pid) ?? ''))
  t.is(stack.file('sleeper', 'cgroup.events')?.includes('frozen 1'), true)
  t.is(ticks(), before)
  await stack.request(cgroupUnpause, { id: 'sleeper' })
  await stack.request(cgroupUnpause, { id: 'sleeper' })
  t.is(stack.file('sleeper', 'cgroup.events')?.includes('frozen 0'), true)
  await stack.undo('sleeper')
  await exited
})

test('pausing what does not exist is not found', async (t) => {
  await using stack = await cgroupStack()
  t.is((await failureOf(stack.request(cgroupPause, { id: 'nobody' }))).code, 'not_found')
  t.is((await failureOf(stack.request(cgroupUnpause, { id: 'nobody' }))).code, 'not_found')
})

test('two stacks do not see or touch each other', async (t) => {
  await using one = await cgroupStack()
  await using other = await cgroupStack()
  await one.make('same', { pids: { limit: 11 } })
  await other.make('same', { pids: { limit: 22 } })
  await one.undo('same')
  t.deepEqual(one.directories('same'), [])
  t.is(other.file('same', 'pids.max'), '22')
  const listed = (await one.request(objects.cgroup, {})).objects
  t.true(
    listed.every(({ name, container }) => name.includes(one.config.names.cgroupParent) && container === null),
  )
})

test('objects names each container cgroup, and release refuses while there is one', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('alive')
  const { objects: listed } = await stack.request(objects.cgroup, {})
  const own = listed.filter(({ container }) => container === 'alive').map(({ name }) => name)
  t.deepEqual(own.toSorted(), cgroupDirectories.toSorted())
  const failure = await failureOf(stack.request(release.cgroup, {}))
  t.is(failure.code, 'busy')
  t.deepEqual(failure.details['containers'], ['alive'])
  await stack.undo('alive')
  const { released } = await stack.request(release.cgroup, {})
  t.true(released.length >= cgroupDirectories.length)
  t.false(released.some((path) => existsSync(path)))
  await t.notThrowsAsync(stack.make('again'), 'do makes the parents again')
})

test('more objects than one message of the bus holds are listed in pages, each once', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('first')
  const each = Math.ceil(9000 / cgroupDirectories.length)
  const many = cgroupDirectories.flatMap((directory) =>
    Array.from({ length: each }, (_, index) => join(dirname(directory), `many-${'x'.repeat(40)}-${index}`)),
  )
  const made = new Set<string>()
  using _ = { [Symbol.dispose]: () => made.forEach((directory) => rmdirSync(directory)) }
  for (const directory of many) {
    mkdirSync(directory)
    made.add(directory)
  }
  const sizes: number[] = []
  const listed = await everyObject(async (page) => {
    const answer = await stack.request(objects.cgroup, page)
    sizes.push(JSON.stringify(answer).length)
    return answer
  })
  const found = listed.flatMap(({ name, container }) => (container?.startsWith('many') ? [name] : []))
  t.deepEqual(found.toSorted(), many.toSorted())
  t.true(sizes.length > 1)
  t.true(Math.max(...sizes) < 2 ** 20)
})

test('undo removes a container that has made threaded cgroups inside its own', async (t) => {
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('threaded')
  const [v2 = ''] = cgroupDirectories.filter((directory) => existsSync(join(directory, 'cgroup.type')))
  mkdirSync(join(v2, 'domain/threaded'), { recursive: true })
  writeFileSync(join(v2, 'domain/threaded/cgroup.type'), 'threaded')
  t.throws(() => readFileSync(join(v2, 'domain/threaded/cgroup.procs')), { code: 'ENOTSUP' })
  const { exited } = await startForking([join(v2, 'domain')])
  await stack.undo('threaded')
  await exited
  t.deepEqual(stack.directories('threaded'), [])
})
