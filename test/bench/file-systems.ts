import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../shared/recorder.ts'

/** The copy-on-write file system of Dolly, and what Docker and Podman store. */
const size = '20G'
/** Nobody else's: the leases of the host's own stacks are in the `/run` that is covered here. */
export const idPool = '1610612736:268304384'

/**
 * The file systems that hosts have: `/run` on tmpfs, and for everyone's root an ext4 with a journal, in a file.
 * A virtual machine's own may have no journal: ext4 then looks through all inodes that were freed in the last
 * minutes before it gives one, up to a millisecond for each new file. In a mount namespace of this process's own
 * (`unshare --mount --propagation private`): at its end nothing is left, however it ends.
 */
export const ordinaryFileSystems = async (): Promise<void> => {
  const image = join(tmpdir(), `dolly-bench-${process.pid}.img`)
  const directory = '/run/dolly-bench'
  try {
    await run('fallocate', ['--length', size, image])
    await run('mkfs.ext4', ['-q', image])
    await run('mount', ['--types', 'tmpfs', '--options', 'mode=755', 'run', '/run'])
    await mkdir(directory)
    await run('mount', ['--options', 'loop', image, directory])
  } finally {
    await rm(image, { force: true })
  }
  process.env['TMPDIR'] = directory
}
