import test from 'ava'
import { execa } from 'execa'
import { type Stack, eventually, startStack } from '../helpers/stack.ts'
import { type Dolly, dollyOf, environmentOf, program } from './dolly.ts'

let stack: Stack
let dolly: Dolly

test.before(async () => {
  stack = await startStack()
  dolly = dollyOf(stack)
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

/** Runs a shell line under a terminal of its own. */
const typed = (line: string, input?: string) =>
  execa('script', ['-qefc', line, '/dev/null'], {
    env: { ...environmentOf(stack), SHELL: '/bin/sh' },
    reject: false,
    timeout: 30_000,
    ...(input === undefined ? {} : { input }),
  })

/** Waits until the program has written the word, without taking its output away. */
const said = async (child: ReturnType<typeof typed>, word: string): Promise<void> => {
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => (text += String(chunk)))
  await eventually(`it writes ${word}`, () => text.includes(word))
}

test('-it gives a shell with a terminal, and its exit code', async (t) => {
  const { stdout, exitCode } = await typed(`${program} run --rm -q -it busybox sh`, 'tty; exit 9\n')
  t.regex(String(stdout), /\/dev\/(pts\/\d+|console)/)
  t.is(exitCode, 9)
})

test('the container’s terminal has the size of ours', async (t) => {
  const { stdout } = await typed(`stty rows 33 cols 101; ${program} run --rm -q -it busybox stty size`)
  t.regex(String(stdout), /33 101/)
})

test('the container’s terminal follows ours when it is resized', async (t) => {
  const script = 'trap "stty size; exit 0" WINCH; while :; do sleep 0.05; done'
  const resizing = '(for i in $(seq 1 50); do stty rows 44 cols $((100 + i)) </dev/tty; sleep 0.1; done)'
  const line = `stty rows 20 cols 50; ${resizing} & ${program} run --rm -q -it busybox sh -c '${script}'; kill $!`
  const { stdout } = await typed(line)
  t.regex(String(stdout), /44 1\d\d/)
})

test('Ctrl-C goes to the foreground process of the container, not to dolly', async (t) => {
  const child = typed(`${program} run --rm -q -it busybox sh`)
  // The process itself says that it is there: before it is, the key is the shell's.
  child.stdin?.write(`trap "echo interrupted" INT; sh -c 'echo re""ady; exec sleep 60'; exit 4\n`)
  await said(child, 'ready')
  child.stdin?.write('\x03')
  t.is((await child).exitCode, 4)
})

test('the detach keys leave the container running', async (t) => {
  const child = typed(`${program} run -q --name kept -it busybox sh`)
  child.stdin?.write('echo re""ady\n')
  await said(child, 'ready')
  child.stdin?.write('\x10\x11')
  t.is((await child).exitCode, 0)
  t.regex((await dolly(['ps'])).stdout, / Up .* kept/)
  t.is((await dolly(['exec', 'kept', 'echo', 'alive'])).stdout, 'alive')
  await dolly(['rm', '-f', '-q', 'kept'])
})

test('exec -it has a terminal of its own', async (t) => {
  await dolly(['run', '-d', '-q', '--name', 'host-of-exec', 'busybox', 'sleep', '1000'])
  const { stdout, exitCode } = await typed(
    `stty rows 21 cols 81; ${program} exec -it host-of-exec sh -c 'stty size; exit 6'`,
  )
  t.regex(String(stdout), /21 81/)
  t.is(exitCode, 6)
})

test('-it without a terminal is refused', async (t) => {
  const { exitCode, stderr } = await dolly(['exec', '-it', 'any', 'sh'])
  t.is(exitCode, 125)
  t.regex(stderr, /standard input is not a terminal/)
})

test('the steps are shown live on a terminal', async (t) => {
  const { stdout } = await typed(`stty rows 24 cols 80; ${program} run --rm busybox true`)
  t.regex(String(stdout), /✔ storage done/)
})

test('a terminal without a width gets plain lines', async (t) => {
  const { stdout } = await typed(`stty rows 0 cols 0; ${program} run --rm busybox true`)
  t.regex(String(stdout), /✔ storage done/)
  t.true(String(stdout).length < 10_000)
})
