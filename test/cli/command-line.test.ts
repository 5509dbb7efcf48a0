import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import test from 'ava'

const program = join(import.meta.dirname, '../../services/cli/dolly')

/** The command line with no stack to speak to. */
const dolly = async (...args: string[]) => {
  const root = await mkdtemp(join(tmpdir(), 'dolly-cli-'))
  try {
    return await execa(program, args, {
      reject: false,
      stdin: 'ignore',
      env: { DOLLY_ROOT: root, NO_COLOR: '1' },
    })
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

test('the version is printed and is the project’s', async (t) => {
  const { stdout, exitCode } = await dolly('--version')
  t.regex(stdout, /^\d+\.\d+\.\d+$/)
  t.is(exitCode, 0)
})

test('help lists every command', async (t) => {
  const { stdout, exitCode } = await dolly('--help')
  for (const name of ['up', 'down', 'run', 'exec', 'logs', 'image', 'doctor'])
    t.regex(stdout, new RegExp(`^ {2}${name} `, 'm'))
  t.is(exitCode, 0)
})

const refused: [args: string[], says: RegExp, code: number][] = [
  [['frobnicate'], /unknown command 'frobnicate' \(see "dolly --help"\)/, 125],
  [['run', '--frob', 'x'], /unknown option '--frob' \(see "dolly run --help"\)/, 125],
  [['run'], /missing required argument 'image'/, 125],
  [['image', 'import'], /missing required argument 'name'/, 125],
  [['logs', '-n', 'few', 'x'], /It is neither a number nor "all"/, 125],
  [['run', 'busybox'], /cannot find the bus .*start the stack with "dolly up"/, 125],
  [['run', '--detach-keys', 'ctrl-1', 'busybox'], /cannot use detach key/, 125],
  [['run', '-it', 'busybox'], /standard input is not a terminal/, 125],
  [['run', 'Busy Box'], /cannot run: image: an image is named as name\[:tag\]/, 125],
  [['ps'], /cannot find the bus/, 1],
  [['schema', 'container.crate'], /did you mean "container.create"/, 1],
  [['completion', 'tcsh'], /cannot complete in "tcsh": give bash, zsh, fish/, 1],
]

for (const [args, says, code] of refused) {
  test(`dolly ${args.join(' ')} fails in one line`, async (t) => {
    const { stdout, stderr, exitCode } = await dolly(...args)
    t.regex(stderr, says)
    t.regex(stderr, /^dolly: cannot [^\n]+$/, 'one line, no stack')
    t.is(stdout, '')
    t.is(exitCode, code)
  })
}

test('the schema of a message is JSON Schema', async (t) => {
  const { stdout } = await dolly('schema', 'container.create')
  const schema = JSON.parse(stdout) as { type: string; required: string[]; additionalProperties: boolean }
  t.is(schema.type, 'object')
  t.deepEqual(schema.required, ['image'])
  t.false(schema.additionalProperties)
  t.true(
    Object.keys(JSON.parse((await dolly('schema', '--json')).stdout) as object).includes('container.delete'),
  )
})

test('completion knows commands, flags and subcommands without a stack', async (t) => {
  t.regex((await dolly('complete', '--', 'in')).stdout, /^inspect\t.*\ninfo\t|^info\t[^]*^inspect\t/m)
  t.regex((await dolly('complete', '--', 'run', '--mem')).stdout, /^--memory\t/m)
  t.regex((await dolly('complete', '--', 'image', '')).stdout, /^import\t/m)
  for (const shell of ['bash', 'zsh', 'fish'])
    t.regex((await dolly('completion', shell)).stdout, /dolly complete --/)
})
