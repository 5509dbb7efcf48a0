import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { nativeProgram, preloadedLibrary } from '../../services/namespace/native-program.ts'
import { createCoprocess } from '../../shared/coprocess.ts'

/** A spawner that keeps a program loaded, in place of conmon one that does what a test says. */
const spawnerOf = async (t: ExecutionContext, program: string) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-zygote-'))
  const spawner = createCoprocess(nativeProgram, () => [
    'spawner',
    '--preload',
    program,
    preloadedLibrary,
    '/tmp',
  ])
  t.teardown(async () => {
    await spawner.end()
    await rm(directory, { recursive: true, force: true })
  })
  const { said } = await spawner.ask(['ready'])
  const launch = async (...command: string[]): Promise<string> => {
    const task = ['launch', join(directory, 'errors'), '2', directory, 'PATH=/usr/bin:/bin', 'GIVEN=yes']
    return (await spawner.ask([...task, ...command])).said.trim()
  }
  return { directory, spawner, preloaded: said === 'preloaded', launch }
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)

/** The one that is loaded; a spawner has no other child while nothing is launched. */
const zygoteOf = (spawner: { pid(): number | undefined }): number => childrenOf(spawner.pid() ?? 0)[0] ?? 0

test('a monitor is a fork of the loaded program, and looks from outside as if it had been run', async (t) => {
  const { directory, spawner, preloaded, launch } = await spawnerOf(t, '/bin/dash')
  t.true(preloaded)
  const parent = zygoteOf(spawner)
  const look =
    'tr "\\0" "|" < /proc/$$/cmdline > line; pwd > where; env > variables; readlink /proc/$$/exe > program; echo $PPID >&3'
  t.is(await launch('/bin/dash', '-c', look, 'name', 'an argument'), String(parent))
  const written = async (file: string) => (await readFile(join(directory, file), 'utf8')).trim()
  t.is((await written('line')).replace(/\|+$/, ''), `/bin/dash|-c|${look}|name|an argument`)
  t.is(await written('where'), directory)
  t.is(await written('program'), '/usr/bin/dash')
  t.regex(await written('variables'), /^GIVEN=yes$/m)
  t.notRegex(await written('variables'), /LD_PRELOAD/)
})

test('it leads a session, has the descriptors of a monitor, and its silence is an answer', async (t) => {
  const { launch } = await spawnerOf(t, '/bin/dash')
  t.is(await launch('/bin/dash', '-c', 'test $(ps -o sid= -p $$) = $$ && echo leads >&3'), 'leads')
  t.is(await launch('/bin/dash', '-c', 'readlink /proc/$$/fd/4 >&3'), `/memfd:dolly-init (deleted)`)
  t.is(await launch('/bin/dash', '-c', 'test -e /proc/$$/fd/5 || echo none >&3'), 'none')
  t.is(await launch('/bin/dash', '-c', 'exit 3'), '')
})

test('its pid is written where conmon is told to, which then need not leave whoever runs it', async (t) => {
  const { directory, launch } = await spawnerOf(t, '/bin/dash')
  const file = join(directory, 'pid')
  const said = await launch('/bin/dash', '-c', 'echo $$ $* >&3', 'name', '--conmon-pidfile', file)
  t.is(said, `${await readFile(file, 'utf8')} --conmon-pidfile ${file} --sync`)
  t.is(await launch('/bin/dash', '-c', 'echo alive >&3', 'name', '--conmon-pidfile', `${file}/no`), '')
})

test('one that cannot be loaded ahead, being static, is run anew each time', async (t) => {
  const { spawner, preloaded, launch } = await spawnerOf(t, '/bin/busybox')
  t.false(preloaded)
  t.true(await waitFor(() => childrenOf(spawner.pid() ?? 0).length === 0 || undefined, 5000))
  t.is(await launch('/bin/busybox', 'sh', '-c', 'echo $GIVEN >&3'), 'yes')
})

test('when the loaded one is killed monitors are run anew, and it ends with the spawner', async (t) => {
  const { spawner, launch } = await spawnerOf(t, '/bin/dash')
  const other = await spawnerOf(t, '/bin/dash')
  const [killed, left] = [zygoteOf(spawner), zygoteOf(other.spawner)]
  process.kill(killed, 'SIGKILL')
  t.true(await waitFor(() => !existsSync(`/proc/${killed}`) || undefined, 5000))
  t.is(await launch('/bin/dash', '-c', 'echo $GIVEN >&3'), 'yes')
  await other.spawner.end()
  t.false(existsSync(`/proc/${left}`))
})
