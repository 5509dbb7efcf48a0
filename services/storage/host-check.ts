import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../shared/failure.ts'
import { type Recorder, systemPath } from '../../shared/recorder.ts'

/** Each program that storage runs, with the Debian package that has it. */
const programs = {
  btrfs: 'btrfs-progs',
  'mkfs.btrfs': 'btrfs-progs',
  fallocate: 'util-linux',
  losetup: 'mount',
  mount: 'mount',
  find: 'findutils',
  tar: 'tar',
}

const exists = async (program: string): Promise<boolean> => {
  for (const directory of systemPath.split(':')) {
    try {
      await access(join(directory, program), constants.X_OK)
      return true
    } catch {
      // Not in this directory; perhaps in the next.
    }
  }
  return false
}

/** What a host must have, as data: `filesystems` is the text of `/proc/filesystems`. Throws `Failure` (`host_unfit`). */
export const checkFacts = (facts: {
  uid: number | undefined
  filesystems: string
  missing: readonly string[]
}): void => {
  if (facts.uid !== 0)
    throw new Failure('host_unfit', 'cannot mount a file system: not root, start Dolly as root')
  if (facts.missing.length > 0) {
    const packages = [...new Set(facts.missing.map((name) => programs[name as keyof typeof programs]))].join(
      ' ',
    )
    throw new Failure('host_unfit', `cannot find ${facts.missing.join(', ')}: install ${packages}`)
  }
  if (!facts.filesystems.split(/\s+/).includes('btrfs')) {
    throw new Failure(
      'host_unfit',
      'cannot use btrfs: this kernel does not have it, load or install its btrfs module',
    )
  }
}

const filesystems = () => readFile('/proc/filesystems', 'utf8')

/**
 * A mount of no device fails, but not before the kernel has loaded the file system's module, mount(2): this
 * service itself may not load one.
 */
const askForBtrfs = (record: Recorder) =>
  record.run('mount', ['--types', 'btrfs', 'none', '/'], { allow: [32] })

/** Looks for root, the programs and btrfs in the kernel, which loads it where it is a module. */
export const checkHost = async (record: Recorder): Promise<void> => {
  const names = Object.keys(programs)
  const found = await Promise.all(names.map(exists))
  const uid = process.getuid?.()
  let known = await filesystems()
  if (uid === 0 && !known.includes('btrfs')) {
    await askForBtrfs(record)
    known = await filesystems()
  }
  checkFacts({ uid, filesystems: known, missing: names.filter((_, index) => !found[index]) })
}
