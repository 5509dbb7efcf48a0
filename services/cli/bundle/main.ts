import { createRequire } from 'node:module'
import { join } from 'node:path'
import { startupSnapshot } from 'node:v8'
import { projectDirectory } from '../stack/project.ts'
import { isFresh } from './fresh.ts'

// Where the bundle begins, also of a process that comes of its snapshot. What it is not made of any more runs
// instead of it.
const start = (): void => {
  // For the reading of the snapshot alone (`services/cli/dolly`), not for what this process starts.
  if (process.env['GLIBC_TUNABLES'] === 'glibc.malloc.hugetlb=1') delete process.env['GLIBC_TUNABLES']
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
