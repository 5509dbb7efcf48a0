import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const applets =
  'sh sleep cat ls ps mount umount hostname id true false stat readlink stty echo env kill test pwd head wc tail touch mkdir mknod dd tty'

/** A plain directory with the host's static busybox, enough for a root file system. */
export const makeBusyboxRoot = async (directory: string): Promise<string> => {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root', 'home/ada']) {
    await mkdir(join(directory, name), { recursive: true })
  }
  await cp('/bin/busybox', join(directory, 'bin/busybox'))
  await chmod(join(directory, 'bin/busybox'), 0o755)
  for (const name of applets.split(' ')) await symlink('busybox', join(directory, 'bin', name))
  await writeFile(
    join(directory, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001:Ada:/home/ada:/bin/sh\n',
  )
  await writeFile(
    join(directory, 'etc/group'),
    'root:x:0:\nada:x:1001:\nmath:x:2000:root,ada\nempty:x:2001:\n',
  )
  await writeFile(join(directory, 'etc/not-executable'), 'text\n')
  await writeFile(join(directory, 'bin/not-a-program'), 'neither ELF nor script\n', { mode: 0o755 })
  return directory
}
