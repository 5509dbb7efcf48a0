import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectDirectory } from '../stack/project.ts'
import { isFresh } from './fresh.ts'

// Where the bundle begins. What it is not made of any more runs instead of it.
if (isFresh(projectDirectory)) {
  void import('../commands/command-line.ts').then(({ runCommandLine }) =>
    runCommandLine(process.argv.slice(2)),
  )
} else void import(pathToFileURL(join(projectDirectory, 'services/cli/main.ts')).href)
