import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, statSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ask } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { containerClient } from '../helpers/container-client.ts'
import { tracesOf } from '../helpers/fault-traces.ts'
import { run } from '../helpers/reboot.ts'
import { patienceMs } from '../../shared/patience.ts'
import { eventually, startStack } from '../helpers/stack.ts'

/** A small file system of its own to be filled: never the host's. */
const smallDisk = async () => {
  const directory = mkdtempSync(join(tmpdir(), 'dolly-disk-'))
  const [image, mount] = [join(directory, 'disk'), join(directory, 'mount')]
  mkdirSync(mount)
  // Where processors are emulated, the journal of a full ext4 (Linux 6.1) keeps both of them for ever.
  const emulated = patienceMs(1) > 1
  if (emulated) await run('mount', '-t', 'tmpfs', '-o', 'size=1400M', 'tmpfs', mount)
  else {
    await run('truncate', '-s', '1400M', image)
    await run('mkfs.ext4', '-q', '-m', '0', image)
    await run('mount', '-o', 'loop', image, mount)
  }
  const free = () => statfsSync(mount).bavail * statfsSync(mount).bsize
  const empty = () => {
    for (const name of ['filler', 'rest']) rmSync(join(mount, name), { force: true })
  }
  return {
    root: join(mount, 'root'),
    free,
    /** Leaves so many bytes free. */
    fill: async (leave: number) => {
      await run('fallocate', '-l', String(free() - Math.max(leave, 4 * 2 ** 20)), join(mount, 'filler'))
      if (leave > 0) return
      // The file system's own bookkeeping takes some of the rest, nobody can say how much.
      const rest = execFile('dd', ['if=/dev/zero', `of=${join(mount, 'rest')}`, 'bs=4k'])
      await once(rest, 'exit')
    },
    empty,
    [Symbol.asyncDispose]: async () => {
      empty()
      // The kernel lets go of a loop device's file only after whoever detached it has been told.
      await eventually('it is unmounted', () =>
        run('umount', mount).then(
          () => true,
          () => false,
        ),
      )
      rmSync(directory, { recursive: true })
    },
  }
}

const environment = {
  DOLLY_COWFS_SIZE: '256M',
  DOLLY_ROOT_SIZE: '256M',
  DOLLY_RECONCILE_MS: '500',
  DOLLY_ACK_WAIT_MS: '500',
}

test('a host that runs full refuses new containers in words, and takes them again when there is space', async (t) => {
  await using disk = await smallDisk()
  await using stack = await startStack({ ...environment, DOLLY_ROOT: disk.root })
  await using client = await containerClient(stack.config)
  const { id } = await client.create({ command: ['sleep', '1000'] })
  await disk.fill(20 * 2 ** 20)
  const { type, data } = await client.tryCreate({ id: 'late', image: 'busybox', command: ['true'] })
  t.is(type, 'container.failed')
  t.like(data, { step: 'storage', code: 'no_space' })
  t.regex(String(data['reason']), /cannot create root of late: \d+ MiB left in .*, 64 MiB needed/)
  t.deepEqual(tracesOf(stack.config, 'late'), [])
  t.is((await client.exec(id, ['true'])).exitCode, 0, 'what runs goes on')
  disk.empty()
  t.is((await client.create({ id: 'late', command: ['sleep', '1000'] })).status, 'running')
})

test('a log that cannot be written: nothing is accepted, nothing is lost, and all goes on when there is space', async (t) => {
  await using disk = await smallDisk()
  await using stack = await startStack({ ...environment, DOLLY_ROOT: disk.root })
  await using client = await containerClient(stack.config)
  // However the test ends: the stack cannot be emptied without space.
  using _ = { [Symbol.dispose]: disk.empty }
  const staying = await client.create({ command: ['sleep', '1000'] })
  const ending = await client.create({ command: ['sleep', '1000'], restart: 'always' })
  const before = await ask(client.bus, verbs.sagaList, { all: true })
  await disk.fill(0)

  const publish = (n: number) =>
    client.bus.publishCommand(
      'container.create',
      { id: `x${n}`, image: 'busybox', command: ['sleep', '1000'], labels: { much: 'x'.repeat(100_000) } },
      { messageId: `m${n}` },
    )
  const accepted: number[] = []
  let refused: unknown
  for (let n = 0; n < 200 && refused === undefined; n++)
    refused = await publish(n).then(
      () => void accepted.push(n),
      (error: unknown) => error,
    )
  t.log(`${accepted.length} creates were accepted before the disk was full`)
  t.regex(String((refused as Error)?.message), /cannot publish container.create: .*(full|no space)/)
  process.kill(ending.pid ?? 0, 'SIGKILL')
  await eventually('the supervisor says why', async () =>
    (await stack.logOf('supervisor')).includes('disk full'),
  )
  t.is((await client.get(staying.id)).pid, staying.pid, 'what is known can be asked for')
  const file = join(stack.config.names.rootfs(staying.id), 'written')
  await run('dd', 'if=/dev/urandom', `of=${file}`, 'bs=1M', 'count=40', 'conv=fsync', 'status=none')
  t.is(statSync(file).size, 40 * 2 ** 20, 'containers write on: their file system has its space')

  disk.empty()
  const emptied = performance.now()
  const lap = (what: string) => t.log(`${what} after ${Math.round(performance.now() - emptied)} ms`)
  await eventually(
    'commands are accepted again',
    () =>
      publish(999).then(
        () => true,
        () => false,
      ),
    30_000,
  )
  lap('commands were accepted')
  t.is((await client.outcome('m999')).type, 'container.running')
  lap('it runs')
  for (const n of accepted)
    t.is((await client.outcome(`m${n}`)).type, 'container.running', `accepted command ${n}`)
  await eventually(
    'the exit was told and the policy followed',
    async () => {
      const now = await client.get(ending.id)
      return now.status === 'running' && now.pid !== ending.pid
    },
    30_000,
  )
  lap('the exit was told')
  const after = await ask(client.bus, verbs.sagaList, { all: true })
  for (const saga of before.sagas) t.true(after.sagas.some(({ id }) => id === saga.id))
  t.is((await client.get(staying.id)).pid, staying.pid)
  t.deepEqual(await client.leaks(), [])
})
