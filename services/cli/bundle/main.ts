import { createRequire } from 'node:module'
import { join } from 'node:path'
import { startupSnapshot } from 'node:v8'
import { projectDirectory } from '../stack/project.ts'
import { isFresh } from './fresh.ts'

// Where the bundle begins, also of a process that comes of its snapshot. What it is not made of any more runs
// instead of it.
const start = (): void => {
  const sources = join(projectDirectory, 'services/cli/main.ts')
  if (!isFresh(projectDirectory)) return void createRequire(sources)(sources)
  void import('../commands/command-line.ts').then(({ runCommandLine }) =>
    runCommandLine(process.argv.slice(2)),
  )
}

if (startupSnapshot.isBuildingSnapshot()) {
  startupSnapshot.setDeserializeMainFunction(start)
  void import('./memory.ts').then(({ remember }) => remember())
} else start()
