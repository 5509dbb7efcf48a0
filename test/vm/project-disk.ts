import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { run } from '../../shared/recorder.ts'

/** Beside the project's own cache, so that paths relative to the modules are the same in the guest. */
const compileCache = '.cache/guest'
const taskFile = '.vm-task'
const compileMs = 300_000

/**
 * Compiles the project's modules here for the guest: without this, an emulated processor spends ten
 * seconds in every Node process on stripping types.
 */
const compile = async (testFiles: readonly string[]): Promise<void> => {
  const env = { NODE_COMPILE_CACHE: join(projectDirectory, compileCache), NODE_COMPILE_CACHE_PORTABLE: '1' }
  const options = { cwd: projectDirectory, env, timeout: compileMs, reject: false, stdio: 'ignore' } as const
  await execa(process.execPath, ['test/vm/compile.ts'], options)
  await execa('services/cli/dolly', ['--help'], options)
  // A test that no title matches: the files are loaded, and none of their tests runs.
  if (testFiles.length > 0)
    await execa('node_modules/.bin/ava', ['--match', 'nothing is called so', ...testFiles], options)
}

/** What `make setup` built: the guest's own compiler would take a minute. */
const built = ['services/*/native/*', '.cache/cli/dolly.cjs', '.cache/cli/sources.json']

const listed = async (...options: string[]): Promise<string[]> => {
  const paths = await run('git', ['-C', projectDirectory, 'ls-files', '-z', '--exclude-standard', ...options])
  return paths.split('\0').filter((path) => path !== '' && existsSync(join(projectDirectory, path)))
}

/**
 * Writes a clone of the working tree as a tar to `disk`, with what is built from it, and with the shell
 * script that the guest runs.
 */
export const writeProjectDisk = async (
  disk: string,
  { task, testFiles, directory }: { task: string; testFiles: readonly string[]; directory: string },
): Promise<void> => {
  await compile(testFiles)
  const present = [
    ...(await listed('--cached', '--others')),
    ...(await listed('--others', '--ignored', ...built)),
  ]
  // With times to the nanosecond: by them the bundle of the command line knows its sources.
  const from = ['--format=posix', '--directory', projectDirectory]
  const options = ['--null', '--no-recursion', '--files-from=-']
  await run('tar', ['--create', '--file', disk, ...from, ...options], { input: present.join('\0') })
  const renamed = `--transform=s,^${compileCache},.cache/node,`
  await run('tar', ['--append', '--file', disk, ...from, renamed, compileCache])
  await writeFile(join(directory, taskFile), task)
  await run('tar', ['--append', '--file', disk, '--format=posix', '--directory', directory, taskFile])
}
