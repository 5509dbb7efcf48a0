import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BuildResult, build } from 'esbuild'
import { reasonOf } from '../../../shared/failure.ts'
import { projectDirectory as project } from '../stack/project.ts'
import { bundlePaths, isFresh, stampOf } from './fresh.ts'
import { lateBuiltins, oneLanguage, places } from './plugins.ts'
import { isMadeHere, makeSnapshot, snapshotPaths } from './snapshot.ts'

/** The project's files that a bundle comes from; packages are as the lock file says. */
const stampsOf = ({ metafile }: BuildResult<{ metafile: true }>) => {
  const own = Object.keys(metafile.inputs).filter((input) => !/node_modules\/|^late:/.test(input))
  const makers = ['make.ts', 'plugins.ts', 'snapshot.ts'].map((file) => join('services/cli/bundle', file))
  const all = [...own, ...makers, 'package-lock.json']
  return Object.fromEntries(all.map((input) => [input, stampOf(join(project, input))]))
}

/** Puts the whole command line into one file: Node takes longer to find and link three hundred than to run them. */
const makeBundle = async (): Promise<void> => {
  const { directory, bundle, sources } = bundlePaths(project)
  const written = `${bundle}.new`
  const result = await build({
    absWorkingDir: project,
    entryPoints: ['services/cli/bundle/main.ts'],
    outfile: written,
    bundle: true,
    platform: 'node',
    target: 'node24',
    // Unlike modules, each of it is evaluated when it is first asked for.
    format: 'cjs',
    minify: true,
    // A command parses with a schema once or twice, which is less than it takes to compile it.
    banner: { js: 'globalThis.__zod_globalConfig = { jitless: true };' },
    metafile: true,
    logLevel: 'warning',
    plugins: [lateBuiltins, places(project), oneLanguage],
  })
  mkdirSync(directory, { recursive: true })
  writeFileSync(`${sources}.new`, JSON.stringify(stampsOf(result)))
  renameSync(written, bundle)
  renameSync(`${sources}.new`, sources)
}

const fresh = isFresh(project)
if (fresh) console.log('services/cli: bundle up to date')
else {
  console.log('services/cli: bundling')
  // It would run as if it were of this bundle.
  rmSync(snapshotPaths(project).made, { force: true })
  await makeBundle()
}
if (!fresh || !isMadeHere(project)) {
  try {
    await makeSnapshot(project)
  } catch (error) {
    // It only saves time.
    console.log(`services/cli: no snapshot: ${reasonOf(error)}`)
  }
}
