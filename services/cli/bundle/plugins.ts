import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, relative } from 'node:path'
import type { Plugin } from 'esbuild'

/** A module that asks where it is gets the place of its source: programs and files are found from there. */
export const places = (project: string): Plugin => ({
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
})

/** Fifty languages of messages that nobody reads: what is wrong is said in our own words. */
export const oneLanguage: Plugin = {
  name: 'one language',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, ({ path }) => ({
      contents: "export { default as en } from './en.js'",
      resolveDir: dirname(path),
    }))
  },
}

/** Bases of classes, and what the bundle begins with. */
const atOnce = new Set(['events', 'fs', 'path', 'stream', 'util', 'v8'])

/** Node's own modules are loaded when something of them is used: a snapshot cannot hold those with open handles. */
export const lateBuiltins: Plugin = {
  name: 'late builtins',
  setup: ({ onResolve, onLoad }) => {
    const late = builtinModules.filter((name) => !name.startsWith('_') && !atOnce.has(name))
    onResolve({ filter: new RegExp(`^(node:)?(${late.join('|')})$`) }, ({ path }) => ({
      path: path.replace('node:', ''),
      namespace: 'late',
    }))
    onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => {
      const all = process.getBuiltinModule(path) as object
      const later = `process.getBuiltinModule('${path}')`
      const getters = Object.keys(all).map((name) => `get ${name}() { return ${later}.${name} }`)
      // As with `assert`, a module may itself be a function.
      const whole = typeof all === 'function' ? `(...args) => ${later}(...args)` : '{}'
      const described = `Object.getOwnPropertyDescriptors({ ${getters.join(', ')} })`
      return { contents: `module.exports = Object.defineProperties(${whole}, ${described})`, loader: 'js' }
    })
  },
}
