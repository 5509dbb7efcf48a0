import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type BuildResult, type Plugin, build } from 'esbuild'
import { projectDirectory as project } from '../stack/project.ts'
import { bundlePaths, isFresh, stampOf } from './fresh.ts'

/** A module that asks where it is gets the place of its source: programs and files are found from there. */
const places: Plugin = {
  name: 'places',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = (of: string) => `require('node:path').join(__dirname, '../..', ${JSON.stringify(of)})`
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.dirname', source(dirname(relative(project, path))))
        .replaceAll(
          'import.meta.url',
          `require('node:url').pathToFileURL(${source(relative(project, path))})`,
        )
      return { contents, loader: 'ts' }
    })
  },
}

/** Fifty languages of messages that nobody reads: what is wrong is said in our own words. */
const oneLanguage: Plugin = {
  name: 'one language',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, ({ path }) => ({
      contents: "export { default as en } from './en.js'",
      resolveDir: dirname(path),
    }))
  },
}

/** The project's files that a bundle comes from; packages are as the lock file says. */
const stampsOf = ({ metafile }: BuildResult<{ metafile: true }>) => {
  const own = Object.keys(metafile.inputs).filter((input) => !input.includes('node_modules/'))
  const all = [...own, relative(project, import.meta.filename), 'package-lock.json']
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
    minifyWhitespace: true,
    minifySyntax: true,
    // A command parses with a schema once or twice, which is less than it takes to compile it.
    banner: { js: 'globalThis.__zod_globalConfig = { jitless: true };' },
    metafile: true,
    logLevel: 'warning',
    plugins: [places, oneLanguage],
  })
  mkdirSync(directory, { recursive: true })
  writeFileSync(`${sources}.new`, JSON.stringify(stampsOf(result)))
  renameSync(written, bundle)
  renameSync(`${sources}.new`, sources)
}

if (isFresh(project)) console.log('services/cli: bundle up to date')
else {
  console.log('services/cli: bundling')
  await makeBundle()
}
