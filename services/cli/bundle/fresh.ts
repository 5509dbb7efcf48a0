import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Where the bundle of a project is, and beside it what each source looked like when it was made. */
export const bundlePaths = (project: string) => {
  const directory = join(project, '.cache/cli')
  return { directory, bundle: join(directory, 'dolly.cjs'), sources: join(directory, 'sources.json') }
}

/** What tells a source from an edited or replaced one; undefined when there is none. */
export const stampOf = (file: string): string | undefined => {
  const found = statSync(file, { throwIfNoEntry: false })
  return found && `${found.size} ${found.mtimeMs}`
}

/** Whether the bundle of the command line was made, and of sources that are still the same. */
export const isFresh = (project: string): boolean => {
  const { sources } = bundlePaths(project)
  try {
    const stamps = Object.entries(JSON.parse(readFileSync(sources, 'utf8')) as Record<string, string>)
    // Joined by hand: the paths are normal, and to see that they are takes as long as all the rest.
    return stamps.every(([source, stamp]) => stampOf(`${project}/${source}`) === stamp)
  } catch {
    return false // it only saves time: without it the sources run
  }
}
