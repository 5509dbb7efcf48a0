import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { createGroup } from '../../services/cgroup/group.ts'
import { readHierarchies } from '../../services/cgroup/hierarchies.ts'
import { cgroupHost } from '../../services/cgroup/host.ts'
import { releaseParents } from '../../services/cgroup/inventory.ts'
import { removeGroup } from '../../services/cgroup/removal.ts'
import { deviceProgram } from '../../services/cgroup/device-program.ts'
import { Resources } from '../../shared/contracts/oci.ts'
import { createRecorder } from '../../shared/recorder.ts'
import { temporaryConfig } from '../helpers/host.ts'
import { cgroupStack } from './cgroup-stack.ts'

/** Joins the cgroups, then tries each device by a node of its own; prints those that it may use. */
const script = `
for directory in "$@"; do echo 0 > "$directory/cgroup.procs" || exit 1; done
try() {
  mknod "$1" $2 $3 $4 && echo "$1 made"
  (: < "$1") 2>/dev/null && echo "$1 read"
  (: > "$1") 2>/dev/null && echo "$1 written"
}
try null c 1 3
try urandom c 1 9
try kernel-log c 1 11
try loop-control c 10 237
try loop b 7 0
true
`

const usable = async (t: ExecutionContext, directories: readonly string[]): Promise<string[]> => {
  const work = mkdtempSync(join(tmpdir(), 'dolly-test-devices-'))
  t.teardown(() => rmSync(work, { recursive: true }))
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script, 'sh', ...directories], { cwd: work })
  return stdout.trim().split('\n')
}

/** Every node may be made, and but the default ones none may be opened. */
const allowed = [
  'null made',
  'null read',
  'null written',
  'urandom made',
  'urandom read',
  'urandom written',
  'kernel-log made',
  'loop-control made',
  'loop made',
]

test('a container may make any device node and open the default ones only', async (t) => {
  t.true((await usable(t, [])).includes('loop-control read'), 'the host may open them')
  await using stack = await cgroupStack()
  const { cgroupDirectories } = await stack.make('devices')
  t.deepEqual(await usable(t, cgroupDirectories), allowed)
  await stack.make('devices')
  t.deepEqual(await usable(t, cgroupDirectories), allowed, 'the same when it is made again')
})

const unified = readHierarchies().filter(({ version }) => version === 2)
const onUnified = unified.length > 0 ? test : test.skip

onUnified('the v2 tree alone holds a container to the same devices', async (t) => {
  await using temporary = await temporaryConfig()
  const host = cgroupHost(temporary.config.names, () => unified)
  const record = createRecorder()
  await host.prepare(record)
  const input = { id: 'devices', resources: Resources.parse({}) }
  try {
    const { cgroupDirectories } = await createGroup(host, input, record)
    t.deepEqual(await usable(t, cgroupDirectories), allowed)
    t.regex(record.entries.at(-1)?.equivalent ?? '', /^bpftool cgroup attach .* cgroup_device/)
  } finally {
    await removeGroup('devices', host.groupsOf('devices'), record)
    await releaseParents(temporary.config.names, unified)
  }
})

const programs: [string, readonly string[], number][] = [
  ['nothing', [], 8],
  ['everything of one kind', ['c *:* rwm'], 11],
  ['one device', ['c 1:3 rwm'], 13],
  ['only making', ['b *:* m'], 14],
]

for (const [what, rules, instructions] of programs) {
  test(`a program that allows ${what} has ${instructions} instructions`, (t) => {
    t.is(deviceProgram(rules).length, instructions * 8)
  })
}

test('what is no device rule makes no program', (t) => {
  t.throws(() => deviceProgram(['x 1:3 rwm']), { message: /no device rule/ })
})
