import { mkdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { reasonOf } from '../../shared/failure.ts'
import { run } from '../../shared/recorder.ts'
import { exists } from './kernel-facts.ts'

const packages = ['base-files', 'dash', 'coreutils', 'stress-ng']

/** The release of the host, when it is a Debian: its mirrors are set up and it has the packages. */
const release = async (): Promise<string> => {
  const text = await readFile('/etc/os-release', 'utf8')
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? ''
  if (field('ID') !== 'debian') throw new Error('the host is no Debian')
  return field('VERSION_CODENAME')
}

/**
 * A tar of a small Debian with stress-ng, made by mmdebstrap once for each version and kept in the
 * project's cache; a sentence that says why where it cannot be made.
 */
export const debianImage = async (): Promise<{ tar: string } | { unavailable: string }> => {
  try {
    const codename = await release()
    const version = await run('dpkg-query', ['-W', '-f', '${Version}', 'stress-ng'])
    const directory = join(projectDirectory, '.cache/debian-image')
    const tar = join(directory, `${codename}-stress-ng-${version}.tar`)
    if (await exists(tar)) return { tar }
    await mkdir(directory, { recursive: true })
    const draft = join(directory, `${process.pid}.tar`)
    // Unpacked, not configured: nothing of it has to run for stress-ng to run.
    const options = ['--quiet', '--variant=extract', `--include=${packages.join(',')}`]
    await run('mmdebstrap', [...options, codename, draft], { timeoutMs: 150_000 })
    await rename(draft, tar)
    return { tar }
  } catch (error) {
    return { unavailable: reasonOf(error) }
  }
}
