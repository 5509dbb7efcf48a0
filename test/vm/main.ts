import { globSync } from 'node:fs'
import { inspect } from 'node:util'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { reasonOf } from '../../shared/failure.ts'
import { runInGuest } from './guest-task.ts'
import { isWhole, losePower } from './power-loss.ts'
import { rootImage } from './root-image.ts'

/** Without a suite: what a stock Debian with cgroup v2 only shows better than the host of `make test`. */
const usual = [
  'test/cgroup/*.test.ts',
  'test/namespace/{container,exec,lifecycle}.test.ts',
  'test/e2e/lab-limits.test.ts',
  'test/security/{containers,kernel}.test.ts',
  'test/cli/{stack-privileges,system}.test.ts',
]
const losses = Number(process.env['LOSSES'] ?? 1)
/** Three times what every end-to-end test together takes. */
const limitMs = 3 * 3_600_000

const say = (line: string) => void process.stderr.write(`${line}\n`)
/** Whole folders of tests (`SUITE="e2e security"`), or files, or what is usual. */
const suites = (process.env['SUITE'] ?? '').split(/\s+/).filter(Boolean)
const wanted = [...suites.map((suite) => `test/${suite}/*.test.ts`), ...process.argv.slice(2)]
const testFiles = globSync(wanted.length > 0 ? wanted : usual, { cwd: projectDirectory }).toSorted()
if (testFiles.length === 0) throw new Error(`cannot test ${wanted.join(' ')}: there is no such file`)

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(name, () => interrupted.abort(new Error(`got ${name}`)))
const { signal } = interrupted

const begun = performance.now()
try {
  const image = await rootImage(process.env['DOLLY_VM_SUITE'] || 'bookworm', say)
  say(`booting a machine with cgroup v2 only for ${testFiles.length} test files`)
  const status = await runInGuest({
    image,
    command: `node test/run.ts --tap --concurrency 1 --serial --timeout 20m ${testFiles.join(' ')}`,
    testFiles,
    limitMs,
    signal,
    onOutput: (text) => void process.stdout.write(text),
  })
  say(`the machine is off after ${Math.round((performance.now() - begun) / 1000)} s`)
  if (status === undefined) say('cannot tell how the tests ended: the machine went off before them')
  process.exitCode = status ?? 1
  if (losses > 0) {
    const report = await losePower(image, { losses, signal })
    say(inspect(report))
    if (!isWhole(report)) process.exitCode = 1
  }
} catch (error) {
  say(`cannot test in a machine: ${reasonOf(error)}`)
  process.exitCode = 1
}
