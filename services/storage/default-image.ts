import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { errnoOf } from '../../shared/failure.ts'
import type { Log } from '../../shared/log.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { resolveTag, writeTag } from './image-catalogue.ts'
import { isStaticElf } from './elf.ts'
import { commitImage, draftImage } from './image-draft.ts'

export const defaultReference = 'busybox:latest'
/** Part of the digest: raise it when the files below change. */
const recipe = 'dolly busybox 1'
const busybox = '/bin/busybox'

const directories = [
  'dev',
  'etc',
  'home',
  'mnt',
  'proc',
  'run',
  'sys',
  'usr',
  'var',
  'var/log',
  'var/spool',
  'var/www',
]

const files: Record<string, string> = {
  'etc/passwd': [
    'root:x:0:0:root:/root:/bin/sh',
    'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
    'bin:x:2:2:bin:/bin:/bin/false',
    'www-data:x:33:33:www-data:/var/www:/bin/false',
    'nobody:x:65534:65534:nobody:/home:/bin/false',
    '',
  ].join('\n'),
  'etc/group': [
    'root:x:0:',
    'daemon:x:1:',
    'bin:x:2:',
    'tty:x:5:',
    'www-data:x:33:',
    'nogroup:x:65534:',
    '',
  ].join('\n'),
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  'etc/hostname': '',
  'etc/hosts': '',
  'etc/resolv.conf': '',
}

/** `applets`: the lines of `busybox --list-full`, each a path to link to the program. */
const fill = (root: string, program: Buffer, applets: readonly string[]): void => {
  const make = (path: string, mode = 0o755) => {
    mkdirSync(join(root, path), { recursive: true })
    chmodSync(join(root, path), mode)
  }
  for (const path of directories) make(path)
  make('root', 0o700)
  for (const path of ['tmp', 'var/tmp']) make(path, 0o1777)
  for (const path of ['bin', 'sbin', 'usr/bin', 'usr/sbin']) make(path)
  for (const [path, text] of Object.entries(files)) writeFileSync(join(root, path), text)
  writeFileSync(join(root, 'bin/busybox'), program)
  chmodSync(join(root, 'bin/busybox'), 0o755)
  symlinkSync('/run', join(root, 'var/run'))
  for (const applet of applets) symlinkSync('/bin/busybox', join(root, applet))
}

const readProgram = async (): Promise<Buffer | undefined> => {
  try {
    return await readFile(busybox)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Only names in the program's own directories, each once; `busybox` itself is the program. */
const appletsOf = (list: string): string[] =>
  [...new Set(list.split('\n'))].filter(
    (path) => /^(usr\/)?s?bin\/[^/]+$/.test(path) && basename(path) !== 'busybox',
  )

/**
 * Builds `busybox:latest` of the system's static busybox when no image has that name. A host without
 * it can still run imported images, so that is only said.
 */
export const ensureDefaultImage = async (config: Config, record: Recorder, log: Log): Promise<void> => {
  const { names } = config
  if (await resolveTag(names, defaultReference)) return
  const program = await readProgram()
  if (!program || !isStaticElf(program)) {
    log.warn({ program: busybox }, 'no static busybox, no default image: install busybox-static')
    return
  }
  const digest = `sha256:${createHash('sha256').update(recipe).update(program).digest('hex')}`
  await using draft = await draftImage(config, digest, record)
  if (!draft.exists) {
    const applets = appletsOf(await record.run(busybox, ['--list-full']))
    fill(draft.path, program, applets)
    await commitImage(config, { digest, draft, config: { Cmd: ['sh'], Env: [] } }, record)
  }
  await writeTag(names, defaultReference, digest)
  log.info({ image: defaultReference, digest }, 'default image built')
}
