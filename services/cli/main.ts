import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Not Node's default under /tmp, where another user could plant byte code for root to run.
enableCompileCache(join(import.meta.dirname, '../../.cache/compile'))

const { runCommandLine } = await import('./commands/command-line.ts')
await runCommandLine(process.argv.slice(2))
