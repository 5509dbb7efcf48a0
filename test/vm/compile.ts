import { globSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { projectDirectory } from '../../services/cli/stack/project.ts'

// Run under NODE_COMPILE_CACHE: each module is compiled, and its types are stripped, as it is imported.
const modules = globSync('{shared,services}/**/*.ts', { cwd: projectDirectory })
for (const module of modules.filter((name) => !name.endsWith('main.ts')))
  await import(join(projectDirectory, module))
flushCompileCache()
// Some of them leave things behind that would keep this program running.
process.exit()
