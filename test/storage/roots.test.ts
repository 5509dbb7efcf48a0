import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { statfs } from 'node:fs/promises'
import test from 'ava'
import { run } from '../../shared/recorder.ts'
import { eventually, failureOf, mountLine, storageStack } from './storage-stack.ts'

const btrfs = (...args: string[]) =>
  execFileSync('/usr/bin/btrfs', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const uuidOf = (path: string, field: string) =>
  new RegExp(String.raw`\t${field}:\s+(\S+)`).exec(btrfs('subvolume', 'show', path))?.[1]

/** btrfs gives the space of a deleted subvolume back in the transaction after its cleaner has run. */
const hasSpace = async (path: string) => {
  await run('btrfs', ['filesystem', 'sync', path])
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize > 64 * 2 ** 20
}

test('a root is a writable snapshot of the image, which stays as it is', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  const { rootfs, imageDigest, imageConfig } = await stack.make('one')
  t.is(rootfs, names.rootfs('one'))
  t.deepEqual(imageConfig.Cmd, ['sh'])
  const image = join(names.images, imageDigest)
  t.is(statSync(rootfs).ino, 256)
  t.is(uuidOf(rootfs, 'Parent UUID'), uuidOf(image, 'UUID'))
  writeFileSync(join(rootfs, 'I_AM_A_CONTAINER'), '')
  t.false(existsSync(join(image, 'I_AM_A_CONTAINER')))
  t.throws(() => writeFileSync(join(image, 'x'), ''), { code: 'EROFS' })
  t.is(
    execFileSync('/usr/sbin/chroot', [rootfs, 'sh', '-c', 'echo $((6 * 7))'], { encoding: 'utf8' }),
    '42\n',
  )
})

test('undo deletes subvolumes made inside, whatever their names, depth and flags', async (t) => {
  await using stack = await storageStack()
  const other = await stack.make('other')
  const { rootfs } = await stack.make('nest')
  const deep = join(rootfs, 'var', 'a\nID 256 gen 9 top level 5 path containers', '-rf')
  mkdirSync(deep, { recursive: true })
  btrfs('subvolume', 'create', join(deep, 'outer'))
  btrfs('subvolume', 'create', join(deep, 'outer/inner'))
  btrfs('subvolume', 'snapshot', other.rootfs, join(deep, 'outer/copy'))
  btrfs('property', 'set', '-t', 'subvol', join(deep, 'outer'), 'ro', 'true')
  btrfs('subvolume', 'create', join(rootfs, 'tmp/--help'))
  await stack.undo('nest')
  t.false(existsSync(rootfs))
  t.true(existsSync(other.rootfs))
  t.true(existsSync(join(other.rootfs, 'bin/busybox')))
})

test('do again answers the image that the root was made of, also when the tag names another one', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  const first = await stack.make('again')
  writeFileSync(join(names.tags, 'busybox%3Alatest'), JSON.stringify({ digest: `sha256:${'0'.repeat(64)}` }))
  t.deepEqual(await stack.make('again'), first)
})

test('do again refuses a root that was made of no image', async (t) => {
  await using stack = await storageStack()
  btrfs('subvolume', 'create', stack.config.names.rootfs('foreign'))
  t.is((await failureOf(stack.make('foreign'))).code, 'conflict')
})

test('an unknown image is named with the nearest tag, and leaves nothing', async (t) => {
  await using stack = await storageStack()
  const failure = await failureOf(stack.make('none', 'busibox'))
  t.is(failure.code, 'image_not_found')
  t.is(failure.message, 'cannot find image "busibox": did you mean "busybox"?')
  t.false(existsSync(stack.config.names.rootfs('none')))
  t.is(
    (await failureOf(stack.make('none', 'quite-different'))).message.includes('there are busybox:latest'),
    true,
  )
})

test('a full file system is said with what is left, and space that returns is used', async (t) => {
  await using stack = await storageStack({ DOLLY_COWFS_SIZE: '256M', DOLLY_ROOT_SIZE: '256M' })
  const { names } = stack.config
  const { rootfs } = await stack.make('hog')
  const dd = () =>
    execFileSync('/usr/bin/dd', ['if=/dev/zero', `of=${rootfs}/hog`, 'bs=1M'], { stdio: 'ignore' })
  t.throws(dd)
  execFileSync('/usr/bin/btrfs', ['filesystem', 'sync', names.cowfs])
  const failure = await failureOf(stack.make('late'))
  t.is(failure.code, 'no_space')
  t.regex(failure.message, /^cannot create root of late: \d+ MiB left in /)
  t.false(existsSync(names.rootfs('late')))
  await stack.undo('hog')
  t.true(await eventually(() => hasSpace(names.cowfs)))
  await t.notThrowsAsync(stack.make('late'))
})

/** EDQUOT, which Node has no name for. */
const quotaExceeded = -122

/** The number of the error that a write ends with, or undefined. */
const refusedAt = (write: () => void): number | undefined => {
  try {
    write()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno
  }
}

const mebibyte = 2 ** 20
const files = (rootfs: string, count: number) => () => {
  for (let n = 0; n < count; n++) writeFileSync(join(rootfs, `file-${n}`), '')
}
const data = (rootfs: string, bytes: number) => () => {
  const file = openSync(join(rootfs, 'data'), 'w')
  try {
    for (let written = 0; written < bytes; written += mebibyte) writeSync(file, Buffer.alloc(mebibyte, 1))
  } finally {
    closeSync(file)
  }
}

test('a root takes no more than its size, in data or in files, and no other root notices', async (t) => {
  await using stack = await storageStack({ DOLLY_ROOT_SIZE: '16M' })
  const { names } = stack.config
  const roots = ['hog', 'collector', 'other'].map((id) => ({ id, rootfs: names.rootfs(id) }))
  const [hog, collector, other] = roots.map(({ rootfs }) => rootfs) as [string, string, string]
  await stack.make('hog')
  await stack.make('collector', 'busybox', 2 * mebibyte)
  await stack.make('other')
  t.is(refusedAt(data(hog, 64 * mebibyte)), quotaExceeded)
  t.is(refusedAt(files(collector, 200_000)), quotaExceeded)
  t.is(refusedAt(data(other, 8 * mebibyte)), undefined)
  t.is(refusedAt(files(other, 100)), undefined)
  await stack.undo('hog')
  await stack.undo('collector')
  await stack.make('hog')
  t.is(refusedAt(data(hog, 8 * mebibyte)), undefined)
})

test('the quota group above a root is gone after its root, at the latest when the service starts again', async (t) => {
  await using stack = await storageStack()
  const { cowfs } = stack.config.names
  const groups = () =>
    execFileSync('btrfs', ['qgroup', 'show', '--raw', cowfs], { encoding: 'utf8' }).match(/^1\/\d+/gm) ?? []
  const made = groups()
  await stack.make('grouped')
  t.is(groups().length, made.length + 1)
  await stack.restart()
  t.is(groups().length, made.length + 1, 'one with a root stays')
  await stack.undo('grouped')
  // The kernel forgets a deleted subvolume at its leisure.
  const swept = async () => {
    execFileSync('btrfs', ['filesystem', 'sync', cowfs])
    await stack.restart()
    return groups().length === made.length
  }
  t.true(await eventually(swept))
})

test('a size that the host cannot hold a root to is refused, and leaves nothing', async (t) => {
  await using own = await storageStack()
  const directory = join(own.config.names.cowfs, 'shared')
  mkdirSync(directory)
  {
    await using stack = await storageStack({ DOLLY_COWFS: directory })
    const failure = await failureOf(stack.make('sized', 'busybox', mebibyte))
    t.is(failure.code, 'unsupported')
    t.regex(failure.message, /^cannot limit the size of sized: /)
    await stack.undo('sized')
    await t.notThrowsAsync(stack.make('any'))
  }
})

test('do and undo mount the file system again when something unmounted it', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  await stack.make('kept')
  execFileSync('/usr/bin/umount', [names.cowfs])
  await stack.undo('kept')
  t.truthy(mountLine(names.cowfs))
  t.false(existsSync(names.rootfs('kept')), 'absence was not believed of an unmounted directory')
  execFileSync('/usr/bin/umount', [names.cowfs])
  await t.notThrowsAsync(stack.make('kept'))
})

test('many roots are made and deleted at the same time', async (t) => {
  await using stack = await storageStack()
  const ids = Array.from({ length: 30 }, (_, index) => `many-${index}`)
  await Promise.all(ids.map((id) => stack.make(id)))
  t.is(readdirSync(stack.config.names.containers).length, 30)
  await Promise.all(ids.map((id) => stack.undo(id)))
  t.deepEqual(readdirSync(stack.config.names.containers), [])
})

test('two stacks have file systems of their own', async (t) => {
  await using one = await storageStack()
  await using other = await storageStack()
  await one.make('same')
  const { rootfs } = await other.make('same')
  writeFileSync(join(rootfs, 'mine'), 'other')
  t.false(existsSync(join(one.config.names.rootfs('same'), 'mine')))
  await one.undo('same')
  t.is(readFileSync(join(rootfs, 'mine'), 'utf8'), 'other')
})
