import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { createCoprocess } from '../../shared/coprocess.ts'
import { Failure } from '../../shared/failure.ts'

const spawner = (...args: string[]) => createCoprocess(nativeProgram, () => ['spawner', tmpdir(), ...args])

/** A task that runs a shell script in place of a monitor; what it writes to descriptor 3 is the answer. */
const scripted = (directory: string, script: string) => {
  const command = ['/bin/sh', '-c', script]
  return ['launch', join(directory, 'errors'), '1', directory, 'PATH=/usr/bin:/bin', ...command]
}

const temporary = async (t: { teardown(act: () => Promise<void>): void }) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-coprocess-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

test('tasks run side by side, and each gets its own answer', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  t.teardown(() => coprocess.end())
  const slow = coprocess.ask(
    scripted(directory, 'while ! test -p fifo; do :; done; read go < fifo; echo slow >&3'),
  )
  const quick = coprocess.ask(scripted(directory, 'mkfifo fifo; echo quick >&3'))
  t.deepEqual(await quick, { errno: 0, said: 'quick' })
  await coprocess.ask(scripted(directory, 'echo go > fifo; echo >&3'))
  t.deepEqual(await slow, { errno: 0, said: 'slow' })
})

test('what tasks open ends with them', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  t.teardown(() => coprocess.end())
  const open = () => readdirSync(`/proc/${coprocess.pid()}/fd`).length
  await coprocess.ask(scripted(directory, 'echo first >&3'))
  const before = open()
  for (let n = 0; n < 20; n++) await coprocess.ask(scripted(directory, 'echo again >&3'))
  t.is(open(), before)
})

test('what is launched inherits five descriptors and leads a session of its own', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  t.teardown(() => coprocess.end())
  const answer = async (script: string) => (await coprocess.ask(scripted(directory, script))).said.trim()
  t.is(
    await answer('ls -m /proc/self/fd > list; cat list >&3'),
    '0, 1, 2, 3, 4, 5',
    'the last is of ls itself',
  )
  t.is(await answer('test $(ps -o sid= -p $$) = $$ && echo leads >&3'), 'leads')
})

test('a program that cannot be run is said', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  t.teardown(() => coprocess.end())
  const task = ['launch', join(directory, 'errors'), '0', directory, '/no/such/program', 'argument']
  const { said } = await coprocess.ask(task)
  t.is(said, 'cannot run /no/such/program: No such file or directory')
  t.is((await coprocess.ask(['dance'])).errno, 22)
})

test('one that ends is told with its last words, and the next use starts another', async (t) => {
  const coprocess = spawner('/no/such/cgroup')
  const failure = await t.throwsAsync(coprocess.ask(['ready']), { instanceOf: Failure })
  t.regex(failure?.message ?? '', /cannot join cgroup \/no\/such\/cgroup: No such file or directory/)
  const other = spawner()
  await other.ask(['ready'])
  await other.end()
  t.is((await other.ask(['ready'])).errno, 0)
  await other.end()
})

test('a task without an answer in time is given up, and one that is too long refused', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  t.teardown(() => coprocess.end())
  await t.throwsAsync(coprocess.ask(scripted(directory, 'mkfifo fifo; read go < fifo; echo >&3'), 50), {
    code: 'timeout',
  })
  await coprocess.ask(scripted(directory, 'while ! test -p fifo; do :; done; echo go > fifo; echo >&3'))
  await t.throwsAsync(coprocess.ask(['x'.repeat(1 << 16)]), { code: 'invalid_message' })
  t.is((await coprocess.ask(['ready'])).errno, 0)
})

test('whoever ends one waits for tasks that were given up, though one still answers', async (t) => {
  const directory = await temporary(t)
  const coprocess = spawner()
  const given = (script: string) =>
    t.throwsAsync(coprocess.ask(scripted(directory, script), 200), { code: 'timeout' })
  await Promise.all([given('sleep 0.4'), given('sleep 0.8; : > written')])
  await coprocess.end()
  t.true(existsSync(join(directory, 'written')))
})

test('a program that cannot be started fails its task, and is ended all the same', async (t) => {
  const program = join(await temporary(t), 'program')
  await writeFile(program, '#!/no/such/interpreter\n', { mode: 0o755 })
  const coprocess = createCoprocess(program)
  await t.throwsAsync(coprocess.ask(['task']), { code: 'interrupted', message: /ENOENT/ })
  coprocess.start()
  await t.notThrowsAsync(coprocess.end())
})
