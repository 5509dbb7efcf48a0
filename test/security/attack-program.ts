import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { run } from '../../shared/recorder.ts'

const source = fileURLToPath(new URL('fixtures/attack.c', import.meta.url))

/** A static program that tries one system call and prints how the kernel answers; for a container's root. */
export const attackProgram = async (): Promise<string> => {
  const directory = join(projectDirectory, '.cache/test')
  const [draft, program] = [join(directory, `attack.${process.pid}`), join(directory, 'attack')]
  await mkdir(directory, { recursive: true })
  await run('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', draft, source])
  await rename(draft, program)
  return program
}
