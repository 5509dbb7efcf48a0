import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { bareNamespace } from '../../services/namespace/monitor.ts'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { createCoprocess } from '../../shared/coprocess.ts'
import { parseMountTable, readMountTable } from '../../shared/mount-table.ts'
import { run } from '../../shared/recorder.ts'

test('containers’ mount namespaces begin without the mounts of the host, and leave the host’s alone', async (t) => {
  const bundles = await mkdtemp(join(tmpdir(), 'dolly-bare-'))
  t.teardown(() => rm(bundles, { recursive: true, force: true }))
  const before = await readMountTable()
  const spawner = createCoprocess(nativeProgram, () => ['spawner', bundles])
  t.teardown(() => spawner.end())
  await spawner.ask(['ready'])
  // A program in there can only come from there.
  const busybox = join(bundles, 'busybox')
  await copyFile('/bin/busybox', busybox)
  const bare = bareNamespace({ conmon: '', spawner })
  const text = await run('nsenter', [`--mount=${bare}`, busybox, 'cat', '/proc/self/mountinfo'])
  const own = parseMountTable(text).map(({ mountPoint }) => mountPoint)
  const foreign = own.filter((path) => !/^\/(proc|sys)(\/|$)/.test(path))
  t.deepEqual(foreign.toSorted(), ['/', bundles])
  t.true(own.includes('/proc') && own.includes('/sys'))
  t.deepEqual(await readMountTable(), before)
})
