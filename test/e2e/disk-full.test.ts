import { mkdtempSync, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ulid } from 'ulid'
import { containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { run } from '../helpers/reboot.ts'
import { eventually, startStack } from '../helpers/stack.ts'

/** A small file system of its own to be filled: never the host's. */
const smallDisk = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'dolly-disk-'))
  const [image, mount] = [join(directory, 'disk'), join(directory, 'mount')]
  mkdirSync(mount)
  await run('truncate', '-s', '1400M', image)
  await run('mkfs.ext4', '-q', '-m', '0', image)
  await run('mount', '-o', 'loop', image, mount)
  const free = () => statfsSync(mount).bavail * statfsSync(mount).bsize
  return {
    root: join(mount, 'root'),
    free,
    /** Leaves so many bytes free. */
    fill: async (leave: number) => {
      const size = free() - leave
      await run('fallocate', '-l', String(size), join(mount, 'filler'))
      await run('sync', '-f', mount)
    },
    empty: () => rmSync(join(mount, 'filler'), { force: true }),
    [Symbol.asyncDispose]: async () => {
      rmSync(join(mount, 'filler'), { force: true })
      await run('umount', mount).catch((e) => console.log('UMOUNT', e))
      rmSync(directory, { recursive: true })
    },
  }
}

test('experiment', async (t) => {
  await using disk = await smallDisk()
  await using stack = await startStack({ DOLLY_ROOT: disk.root, DOLLY_COWFS_SIZE: '256M', DOLLY_RECONCILE_MS: '500', DOLLY_ACK_WAIT_MS: '500' }).catch((e) => { console.log('START', e, e.errors); throw e })
  await using client = await containerClient(stack.config)
  const { id } = await client.create({ command: ['sleep', '1000'] })
  console.log('free', disk.free())
  await disk.fill(20 * 2 ** 20)
  const late = await client.tryCreate({ id: ulid(), image: 'busybox', command: ['true'] })
  console.log(late.type, late.data['reason'])
  await disk.fill(0).catch((e) => console.log(e.message))
  await run('dd', 'if=/dev/zero', `of=${disk.root}/../filler2`, 'bs=4k').catch((e) => console.log(String(e.message).slice(0, 200)))
  console.log('free', disk.free())
  for (let i = 0; i < 300; i++) {
    const said = await client.bus.publishCommand('container.create', { id: `x${i}`, image: 'busybox', labels: { a: 'x'.repeat(5000) } }, { messageId: `m${i}` }).then(() => undefined, (e) => e)
    if (said) { console.log(i, said.code, said.message); break }
  }
  await new Promise((r) => setTimeout(r, 3000))
  console.log((await stack.logOf('nats-server')).slice(-2000))
  rmSync(`${disk.root}/../filler2`)
  disk.empty()
  console.log('free', disk.free())
  const t0 = Date.now()
  const said = await client.bus.publishCommand('container.create', { id: `late`, image: 'busybox', command: ['sleep', '100'] }, { messageId: `late` }).then(() => undefined, (e) => e)
  console.log(said?.code, said?.message)
  await eventually('x', async () => (await client.get('late').catch(() => undefined))?.status === 'running', 20_000).catch((e) => console.log(e.message))
  console.log(Date.now() - t0, (await stack.logOf('nats-server')).slice(-1000), (await stack.logOf('orchestrator')).slice(-2000))
  console.log(await client.get(id).catch((e) => e.message), tracesOf(stack.config, id).length)
  t.pass()
})
