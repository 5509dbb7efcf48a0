import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { checkFacts } from '../../services/storage/host-check.ts'
import { storageService } from '../../services/storage/service.ts'
import { imageList } from '../../shared/contracts/operations.ts'
import { hostService, temporaryConfig } from '../helpers/host.ts'
import { failureOf, loopsOf, mountLine, storageStack } from './storage-stack.ts'

const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

test('the file system is a loop-mounted file that has its space, private, nosuid, nodev and closed to others', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  const file = statSync(names.image)
  t.is(file.size, 2 ** 30)
  t.true(file.blocks * 512 >= file.size)
  const line = mountLine(names.cowfs) ?? []
  const options = line[5]?.split(',') ?? []
  t.true(options.includes('nosuid') && options.includes('nodev'))
  t.false((line[9] ?? '').includes('discard=async'), 'what is freed stays reserved')
  t.is(line[6], '-', 'no propagation')
  t.is(line[7], 'btrfs')
  t.is(loopsOf(names.image).length, 1)
  for (const path of [
    names.cowfs,
    names.images,
    names.containers,
    names.tags,
    join(names.cowfs, 'volumes'),
  ]) {
    t.is(statSync(path).mode & 0o777, 0o700, path)
  }
})

test('preparing again changes nothing', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  await stack.make('kept')
  const before = [loopsOf(names.image), mountLine(names.cowfs)]
  await stack.restart()
  t.deepEqual([loopsOf(names.image), mountLine(names.cowfs)], before)
  t.true(existsSync(names.rootfs('kept')))
})

test('a loop device that is attached already is used', async (t) => {
  await using stack = await storageStack()
  const { names } = stack.config
  run('/usr/bin/umount', names.cowfs)
  const before = loopsOf(names.image)
  await stack.restart()
  t.deepEqual(loopsOf(names.image), before)
})

test('what a crash left half made is made again', async (t) => {
  await using temporary = await temporaryConfig()
  const { names } = temporary.config
  writeFileSync(`${names.image}.part`, 'half')
  await using stack = await storageStack()
  const own = stack.config.names
  run('/usr/bin/btrfs', 'subvolume', 'create', join(own.images, `.draft-${'a'.repeat(64)}`))
  run('/usr/bin/btrfs', 'subvolume', 'create', join(own.images, `.draft-${'a'.repeat(64)}/nested`))
  writeFileSync(join(own.images, `sha256:${'a'.repeat(64)}.json`), '{}')
  writeFileSync(join(own.images, '.part-x'), '')
  await stack.restart()
  const [digest] = (await stack.request(imageList, {})).images.map((image) => image.digest)
  t.deepEqual(readdirSync(own.images).toSorted(), [digest, `${digest}.json`])
  const half = await hostService(temporary.config, storageService(temporary.config))
  t.false(existsSync(`${names.image}.part`))
  await half.send('release', {})
})

const unfit: [string, (root: string) => Record<string, string>, RegExp][] = [
  [
    'an image of another size',
    (root) => {
      writeFileSync(join(root, 'cowfs.img'), '')
      truncateSync(join(root, 'cowfs.img'), 2 ** 29)
      return {}
    },
    /has 536870912 bytes and 1073741824 are configured; set DOLLY_COWFS_SIZE=536870912/,
  ],
  [
    'an image that holds no btrfs',
    (root) => {
      writeFileSync(join(root, 'cowfs.img'), '')
      truncateSync(join(root, 'cowfs.img'), 2 ** 30)
      return {}
    },
    /holds no btrfs/,
  ],
  [
    'more than the host has',
    () => ({ DOLLY_COWFS_SIZE: '900T' }),
    /900|921600.* GiB: .* left in .*; set a smaller DOLLY_COWFS_SIZE/,
  ],
  ['less than btrfs takes', () => ({ DOLLY_COWFS_SIZE: '1M' }), /DOLLY_COWFS_SIZE must be 128M or more/],
  [
    'a directory that is not on btrfs',
    () => ({ DOLLY_COWFS: '/proc' }),
    /cannot use \/proc: it is not on btrfs; DOLLY_COWFS must/,
  ],
  [
    'a directory that is absent',
    () => ({ DOLLY_COWFS: '/absent' }),
    /cannot use \/absent: it does not exist/,
  ],
]

for (const [what, make, message] of unfit) {
  test(`refuses ${what} and mounts nothing`, async (t) => {
    await using temporary = await temporaryConfig()
    const { root, names } = temporary.config
    const config = { ...temporary.config, ...(await changed(root, make(root))) }
    const failure = await failureOf(hostService(config, storageService(config)))
    t.true(['host_unfit', 'no_space'].includes(failure.code))
    t.regex(failure.message, message)
    t.is(mountLine(names.cowfs), undefined)
    t.deepEqual(loopsOf(names.image), [])
  })
}

const changed = async (_root: string, env: Record<string, string>) => {
  await using other = await temporaryConfig(env)
  const { cowfsSizeBytes, cowfsDirectory } = other.config
  return { cowfsSizeBytes, cowfsDirectory }
}

test('refuses a mount point where something else is mounted', async (t) => {
  await using temporary = await temporaryConfig()
  const { names } = temporary.config
  mkdirSync(names.cowfs)
  run('/usr/bin/mount', '-t', 'tmpfs', 'tmpfs', names.cowfs)
  t.teardown(() => undefined)
  try {
    const failure = await failureOf(hostService(temporary.config, storageService(temporary.config)))
    t.is(failure.code, 'host_unfit')
    t.regex(failure.message, /tmpfs \(tmpfs\) is mounted there instead of/)
  } finally {
    run('/usr/bin/umount', names.cowfs)
  }
})

test('an existing btrfs directory serves instead of a loop file, for one stack', async (t) => {
  await using outer = await storageStack()
  const directory = join(outer.config.names.cowfs, 'volumes/shared')
  mkdirSync(directory)
  {
    await using stack = await storageStack({ DOLLY_COWFS: directory })
    const { names } = stack.config
    const { rootfs } = await stack.make('one')
    t.true(existsSync(join(directory, 'containers/one/bin/busybox')))
    t.is(statSync(rootfs).ino, 256)
    t.false(existsSync(names.image))
    const options = mountLine(names.cowfs)?.[5]?.split(',') ?? []
    t.true(options.includes('nosuid') && options.includes('nodev'))
    await stack.restart()
    await using temporary = await temporaryConfig({ DOLLY_COWFS: directory })
    const failure = await failureOf(hostService(temporary.config, storageService(temporary.config)))
    t.regex(failure.message, /uses it; give each stack its own directory/)
    run('/usr/bin/umount', temporary.config.names.cowfs)
  }
  t.true(existsSync(join(directory, 'images')))
  renameSync(directory, `${directory}-used`)
})

test('a host without root, without btrfs or without its programs is told what would be right', (t) => {
  const fit = { uid: 0, filesystems: 'nodev\ttmpfs\n\tbtrfs\n', missing: [] }
  t.notThrows(() => checkFacts(fit))
  t.throws(() => checkFacts({ ...fit, uid: 1000 }), { message: /not root/ })
  t.throws(() => checkFacts({ ...fit, filesystems: 'nodev\ttmpfs\n\text4\n' }), {
    message: /this kernel does not have it/,
  })
  t.throws(() => checkFacts({ ...fit, missing: ['btrfs', 'mkfs.btrfs'] }), {
    message: 'cannot find btrfs, mkfs.btrfs: install btrfs-progs',
  })
})
