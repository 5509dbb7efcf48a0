import { createRequire } from 'node:module'
import type * as commandLine from './commands/command-line.ts'
import { freshBundle } from './bundle/fresh.ts'
import { projectDirectory } from './stack/project.ts'

const bundle = freshBundle(projectDirectory)
const { runCommandLine } = bundle
  ? (createRequire(import.meta.url)(bundle) as typeof commandLine)
  : await import('./commands/command-line.ts')
await runCommandLine(process.argv.slice(2))
