import { createHash } from 'node:crypto'
import { access, cp, mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { run } from '../../shared/recorder.ts'

/** A Debian that boots: its kernel, its initial RAM disk, and an ext4 image of its root. */
export interface RootImage {
  kernel: string
  initrd: string
  disk: string
}

/** What a Debian machine has besides what `make setup` installs there. */
const packages = ['linux-image-amd64', 'systemd-sysv', 'udev', 'dbus', 'initramfs-tools', 'make', 'procps']

/** Files that decide what is in the root: when one changes, it is built anew. */
const inputs = [
  'package-lock.json',
  'deploy/setup/packages.sh',
  'deploy/setup/nats-server.sh',
  'test/vm/guest/prepare.sh',
  'test/vm/guest/install.sh',
  'test/vm/guest/dolly-test.service',
]

const buildMs = 20 * 60_000
const diskSize = '8G'

const keyOf = async (suite: string): Promise<string> => {
  const hash = createHash('sha256').update(`${suite} ${packages.join(' ')} ${diskSize}`)
  for (const input of inputs) hash.update(await readFile(join(projectDirectory, input)))
  return `${suite}-${hash.digest('hex').slice(0, 16)}`
}

const bootFile = async (root: string, prefix: string): Promise<string> => {
  const name = (await readdir(join(root, 'boot'))).find((entry) => entry.startsWith(prefix))
  if (!name) throw new Error(`cannot boot the root: it has no ${prefix}`)
  return join(root, 'boot', name)
}

const build = async (suite: string, directory: string): Promise<void> => {
  const root = join(directory, 'root')
  const options = ['--quiet', '--variant=minbase', `--include=${packages.join(',')}`]
  const hook = (when: string, script: string) =>
    `--${when}-hook=${join(projectDirectory, 'test/vm/guest', script)}`
  const hooks = [hook('essential', 'prepare.sh'), hook('customize', 'install.sh')]
  await run('mmdebstrap', [...options, ...hooks, suite, root], { timeoutMs: buildMs })
  await cp(await bootFile(root, 'vmlinuz'), join(directory, 'vmlinuz'))
  await cp(await bootFile(root, 'initrd'), join(directory, 'initrd'))
  const disk = join(directory, 'root.img')
  await run('mkfs.ext4', ['-q', '-d', root, disk, diskSize], { timeoutMs: buildMs })
  await run('rm', ['--recursive', '--one-file-system', root], { timeoutMs: buildMs })
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/**
 * The root of a Debian suite, made by mmdebstrap once for what goes into it and kept in the user's cache,
 * outside the project: a clone has it at once. Earlier ones of the suite are removed.
 */
export const rootImage = async (suite: string, say: (line: string) => void): Promise<RootImage> => {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'dolly/vm')
  const key = await keyOf(suite)
  const home = join(cache, key)
  if (!(await exists(home))) {
    say(`building a root of Debian ${suite} for the virtual machine, once`)
    await mkdir(cache, { recursive: true })
    const draft = await mkdtemp(join(cache, '.draft-'))
    try {
      await build(suite, draft)
      for (const name of await readdir(cache))
        if (name.startsWith(`${suite}-`)) await rm(join(cache, name), { recursive: true })
      await rename(draft, home)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  }
  return { kernel: join(home, 'vmlinuz'), initrd: join(home, 'initrd'), disk: join(home, 'root.img') }
}
