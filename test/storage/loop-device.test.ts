import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { attachLoop, detachLoop, loopDevicesOf } from '../../services/storage/loop-device.ts'
import { createRecorder, run } from '../../shared/recorder.ts'

test('a file of a file system without direct I/O gets one loop device, and gives it back', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dolly-test-'))
  await run('mount', ['-t', 'ramfs', 'ramfs', directory])
  const file = join(directory, 'image')
  const record = createRecorder()
  t.teardown(async () => {
    for (const device of await loopDevicesOf(file)) await detachLoop(record, file, device)
    await run('umount', [directory])
    rmdirSync(directory)
  })
  await run('truncate', ['-s', '16M', file])
  const device = await attachLoop(record, file)
  t.true(existsSync(device))
  t.is(await attachLoop(record, file), device, 'again it is the same')
  t.deepEqual(await loopDevicesOf(file), [device])
  await detachLoop(record, file, device)
  t.deepEqual(await loopDevicesOf(file), [])
})
