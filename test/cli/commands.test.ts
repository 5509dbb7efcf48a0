import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { run } from '../../shared/recorder.ts'
import { containerClient } from '../helpers/container-client.ts'
import { type Stack, startStack } from '../helpers/stack.ts'
import { type Dolly, dollyOf } from './dolly.ts'

let stack: Stack
let dolly: Dolly

test.before(async () => {
  stack = await startStack()
  dolly = dollyOf(stack)
})
test.after.always(() => stack?.[Symbol.asyncDispose]())

const json = async (args: string[]) => JSON.parse((await dolly([...args, '--json'])).stdout) as never

test('run -d prints the id alone; ps, inspect and wait know it', async (t) => {
  const { stdout: id } = await dolly(['run', '-d', '--name', 'life', 'busybox', 'sh', '-c', 'sleep 1000'])
  t.regex(id, /^[0-9A-Z]{26}$/)
  t.regex((await dolly(['ps'])).stdout, /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +NAMES\n/)
  t.true((await dolly(['ps', '-q', '--no-trunc'])).stdout.split('\n').includes(id))
  const [container] = (await json(['inspect', 'life'])) as [{ id: string; status: string; pid: number }]
  t.is(container.id, id)
  t.is(container.status, 'running')
  t.is(typeof container.pid, 'number')
  t.is(
    ((await json(['inspect', id.slice(0, 20)])) as [{ id: string }])[0].id,
    id,
    'a beginning of the id is enough',
  )

  const waiting = dolly(['wait', 'life'])
  t.is((await dolly(['stop', '-t', '0', 'life'])).stdout, 'life')
  t.is((await waiting).stdout, '137')
  t.is((await dolly(['wait', 'life'])).stdout, '137', 'of a stopped one at once')
  t.is((await dolly(['start', 'life'])).stdout, 'life')
  t.regex((await dolly(['ps'])).stdout, / Up .* life/)
  const kept = await dolly(['rm', '-q', 'life'])
  t.is(kept.exitCode, 1)
  t.regex(kept.stderr, /^dolly: cannot rm: container \S+ is running/)
  t.is((await dolly(['rm', '-q', '-f', 'life'])).exitCode, 0)
})

test('create waits to be started, and start -a answers its output and exit code', async (t) => {
  await dolly(['create', '-q', '--name', 'later', 'busybox', 'sh', '-c', 'echo now; exit 4'])
  t.regex((await dolly(['ps', '-a'])).stdout, / Created +later/)
  const { stdout, exitCode } = await dolly(['start', '-a', 'later'])
  t.is(stdout, 'now')
  t.is(exitCode, 4)
})

test('start -a of one that has ended answers what it writes this time, and its exit code', async (t) => {
  const script = 'test -e /again && { echo twice; echo bad >&2; exit 6; }; touch /again; echo once'
  t.is((await dolly(['run', '-q', '--name', 'again', 'busybox', 'sh', '-c', script])).stdout, 'once')
  const { stdout, stderr, exitCode } = await dolly(['start', '-a', 'again'])
  t.is(stdout, 'twice')
  t.is(stderr, 'bad')
  t.is(exitCode, 6)
})

test('start -i gives input to one that has ended, again and again', async (t) => {
  const first = await dolly(['run', '-i', '-q', '--name', 'fed', 'busybox', 'cat'], { input: 'one' })
  t.is(first.stdout, 'one')
  for (const input of ['two', 'three']) t.is((await dolly(['start', '-ai', 'fed'], { input })).stdout, input)
  t.is((await dolly(['logs', 'fed'])).stdout.replaceAll('\n', ''), 'onetwothree')
})

test('one that was readied for its start and never started goes like any other', async (t) => {
  await dolly(['run', '-q', '--name', 'readied', 'busybox', 'true'])
  const [{ id }] = JSON.parse((await dolly(['inspect', 'readied'])).stdout) as [{ id: string }]
  await using client = await containerClient(stack.config)
  for (let time = 0; time < 2; time++)
    t.is((await ask(client.bus, verbs.containerInit, { container: id })).status, 'stopped')
  t.is((await dolly(['start', 'readied'])).stdout, 'readied')
  t.is((await dolly(['wait', 'readied'])).stdout, '0')
  await ask(client.bus, verbs.containerInit, { container: id })
  t.is((await dolly(['rm', '-q', 'readied'])).exitCode, 0)
  t.false((await client.leaks()).some(({ container }) => container === id))
})

test('logs tell streams, lines and times, and -f ends with the container', async (t) => {
  const script = 'seq 1 5; echo bad >&2; sleep 0.3; echo last'
  await dolly(['run', '-d', '-q', '--name', 'talks', 'busybox', 'sh', '-c', script])
  const followed = await dolly(['logs', '-f', 'talks'])
  t.is(followed.stdout, '1\n2\n3\n4\n5\nlast')
  t.is(followed.stderr, 'bad')
  t.is((await dolly(['logs', '-n', '1', 'talks'])).stdout, 'last')
  t.is((await dolly(['logs', '-n', '0', 'talks'])).stdout, '')
  const lines = (await dolly(['logs', '-t', '--tail', '1', 'talks'])).stdout
  t.regex(lines, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) last$/)
})

test('exec answers output and exit code, takes input, and tells 126 from 127', async (t) => {
  await dolly(['run', '-d', '-q', '--name', 'inner', 'busybox', 'sleep', '1000'])
  const script = 'echo $X; pwd; echo bad >&2; exit 8'
  const said = await dolly(['exec', '-e', 'X=y', '-w', '/tmp', 'inner', 'sh', '-c', script])
  t.is(said.stdout, 'y\n/tmp')
  t.is(said.stderr, 'bad')
  t.is(said.exitCode, 8)
  t.is((await dolly(['exec', '-i', 'inner', 'cat'], { input: 'in\n' })).stdout, 'in')
  t.is((await dolly(['exec', 'inner', 'no-such-program'])).exitCode, 127)
  t.is((await dolly(['exec', 'inner', '/etc'])).exitCode, 126)
  t.is((await dolly(['exec', 'nobody', 'true'])).exitCode, 125)
  t.is((await dolly(['exec', '-d', 'inner', 'touch', '/tmp/made'])).exitCode, 0)
})

test('pause freezes, unpause goes on', async (t) => {
  await dolly(['run', '-d', '-q', '--name', 'cold', 'busybox', 'sleep', '1000'])
  t.is((await dolly(['pause', 'cold'])).stdout, 'cold')
  t.regex((await dolly(['ps'])).stdout, / \(Paused\) +cold/)
  t.is((await dolly(['unpause', 'cold'])).stdout, 'cold')
  t.regex((await dolly(['ps'])).stdout, / Up [^(]* cold/)
})

test('events tell a container’s life as CloudEvents, one a line', async (t) => {
  const { stdout: id } = await dolly(['run', '-d', '-q', '--name', 'told', 'busybox', 'sleep', '1000'])
  await dolly(['rm', '-f', '-q', 'told'])
  const lines = (await dolly(['events', '--json', '--filter', `container=${id}`])).stdout.split('\n')
  const types = lines.map((line) => (JSON.parse(line) as { type: string }).type)
  t.true(types.includes('container.running') && types.at(-1) === 'container.deleted', types.join(' '))
  t.regex(
    (await dolly(['events', '-f', 'type=container', '--since', '1h'])).stdout,
    new RegExp(` container.deleted ${id} `),
  )
  t.is((await dolly(['events', '--filter', 'type=no.such'])).stdout, '')
})

test('an image is imported from a tar, also from standard input, listed, run and removed', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-tar-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const tar = join(directory, 'image.tar')
  await run('tar', ['-C', '/', '-cf', tar, '--transform', 's,^bin/busybox,bin/sh,', 'bin/busybox'])
  const imported = await dolly([
    'image',
    'import',
    '-c',
    'CMD ["/bin/sh", "-c", "echo from the image"]',
    'mine:v1',
    tar,
  ])
  t.is(imported.exitCode, 0, imported.stderr)
  t.regex((await dolly(['image', 'ls'])).stdout, /^mine +v1 +[0-9a-f]{12} +\S.* ago +\S+B$/m)
  t.is((await dolly(['run', '--rm', '-q', 'mine:v1'])).stdout, 'from the image')
  t.is((await dolly(['image', 'rm', 'mine:v1'])).exitCode, 0)
  t.notRegex((await dolly(['images'])).stdout, /mine/)
  const missing = await dolly(['image', 'import', 'other', '/no/such.tar'])
  t.is(missing.exitCode, 1)
  t.regex(missing.stderr, /^dolly: cannot [^\n]*\/no\/such\.tar/)
})

test('info tells where the stack is and how a client reaches it', async (t) => {
  const info = (await json(['info'])) as {
    node: string
    root: string
    bridge: string
    subnet: string
    nats: { url: string; user: string; password: string }
    services: { name: string; running: boolean }[]
  }
  t.is(info.node, stack.config.node)
  t.is(info.root, stack.config.root)
  t.is(info.bridge, stack.config.names.bridge)
  t.regex(info.subnet, /^\d+\.\d+\.\d+\.\d+\/\d+$/)
  t.is(info.nats.user, 'client')
  t.true(info.services.every(({ running }) => running))
  t.is(info.services.length, 5)
  t.regex((await dolly(['info'])).stdout, new RegExp(`^node: +${info.node}$`, 'm'))
})

test('what is not there is one line and exit code 1, and the others are still served', async (t) => {
  for (const verb of ['start', 'stop', 'kill', 'rm', 'pause', 'unpause', 'inspect', 'logs', 'wait']) {
    const { stderr, exitCode } = await dolly([verb, 'nobody'])
    t.regex(stderr, /^dolly: cannot [^\n]*nobody$/, verb)
    t.is(exitCode, 1, verb)
  }
  await dolly(['create', '-q', '--name', 'there', 'busybox', 'true'])
  const { stdout, exitCode } = await dolly(['rm', '-q', 'nobody', 'there'])
  t.is(stdout, 'there')
  t.is(exitCode, 1)
})

test('completion offers the containers that are there', async (t) => {
  await dolly(['create', '-q', '--name', 'completes', 'busybox', 'true'])
  t.regex((await dolly(['complete', '--', 'rm', 'comp'])).stdout, /^completes\t/m)
  t.regex((await dolly(['complete', '--', 'run', 'busy'])).stdout, /^busybox:latest\t/m)
})

test('profile shows when each step ran and what took longest, of the launch and of the removal', async (t) => {
  const { stdout: id } = await dolly(['run', '-d', '-q', '--name', 'timed', 'busybox', 'sleep', '1000'])
  const shown = (await dolly(['profile', 'timed'])).stdout
  t.regex(shown, /^completed in \d+ ms, begun \d{4}-/)
  t.regex(shown, /^STEP +STATUS +STARTED +TOOK +WHEN$/m)
  t.regex(shown, /^storage +done +\d+(\.\d)? ms +\d+(\.\d)? ms +█/m)
  t.regex(shown, /^\d+\.\d\d ms +storage +call(, ahead)? +btrfs subvolume snapshot /m)
  await dolly(['rm', '-q', '-f', 'timed'])
  const phases = (await json(['profile', id])) as {
    outcome: string
    durationMs: number
    steps: { step: string; status: string; startedMs: number; durationMs: number }[]
  }[]
  t.deepEqual(
    phases.map(({ outcome }) => outcome),
    ['completed', 'undone'],
  )
  for (const { durationMs, steps } of phases)
    for (const step of steps) {
      t.true(step.startedMs >= 0 && step.durationMs > 0, step.step)
      t.true(step.startedMs + step.durationMs <= durationMs, `${step.step} within its phase`)
    }
  const started = (name: string) => phases[0]?.steps.find(({ step }) => step === name)?.startedMs ?? -1
  t.true(started('namespace') > started('storage'), 'what needs another step begins after it')
})

test('doctor says how many containers the host has room for, and how soon each service answers', async (t) => {
  const checks = (await json(['doctor'])) as {
    name: string
    ok: boolean
    found: string
    optional?: boolean
  }[]
  const found = (name: string) => checks.find((check) => check.name === `scale: ${name}`)?.found ?? ''
  const ids = /^room for (\d+) containers, (\d+) of (\d+) in use$/.exec(found('ids of user namespaces')) ?? []
  t.is(Number(ids[1]) + Number(ids[2]), Number(ids[3]))
  t.regex(found('memory'), /^room for \d+ containers$/)
  for (const service of ['storage', 'cgroup', 'network', 'namespace', 'orchestrator'])
    t.regex(found(`${service} answers`), /^within \d+\.\d ms$/)
})
