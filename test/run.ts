import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { projectDirectory } from '../services/cli/stack/project.ts'

/** More than these do not fail by chance. */
const mostFlakyFiles = 3
const failedLine = /^\s*(?:not ok \d+ - |✘ (?:\[fail\]: )?)(?<title>.+)/u

/** Test files by what ava puts before the titles of their tests. */
const filesByPrefix = new Map(
  globSync('test/**/*.test.ts', { cwd: projectDirectory }).map((file) => [
    file
      .replace(/^test\//, '')
      .replace(/\.test\.ts$/, '')
      .replaceAll('/', ' › '),
    file,
  ]),
)

const fileOf = (title: string): string | undefined => {
  const prefix = [...filesByPrefix.keys()].find((candidate) => title.startsWith(`${candidate} › `))
  return prefix && filesByPrefix.get(prefix)
}

/** Runs ava as it was asked for; `unplaced` when something failed that belongs to no test file. */
const ava = async (args: readonly string[]) => {
  const child = spawn('ava', args, { cwd: projectDirectory, stdio: ['inherit', 'pipe', 'inherit'] })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
  const ended = once(child, 'close') as Promise<[number | null]>
  const failed = new Set<string | undefined>()
  for await (const line of createInterface({ input: child.stdout })) {
    process.stdout.write(`${line}\n`)
    const title = failedLine.exec(line)?.groups?.['title']
    if (title) failed.add(fileOf(title))
  }
  const [code] = await ended
  return { status: code ?? 1, failed: [...failed] }
}

const args = process.argv.slice(2)
const { status, failed } = await ava(args)
const files = failed.filter((file) => file !== undefined)
process.exitCode = status
if (status !== 0 && files.length > 0 && files.length === failed.length && files.length <= mostFlakyFiles) {
  console.log(`# once more, with nothing beside them: ${files.join(' ')}`)
  const flags = args.filter((arg) => !arg.endsWith('.test.ts'))
  process.exitCode = (await ava([...flags, '--concurrency', '1', '--serial', ...files])).status
  if (process.exitCode === 0) for (const file of files) console.log(`# FLAKY ${file}: failed, then passed`)
}
