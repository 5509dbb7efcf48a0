import { appendFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { bundlePaths } from '../../services/cli/bundle/fresh.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'

/** A copy of the project as `make setup` leaves it, whose bundle says so in its help. */
const projectWithMarkedBundle = async () => {
  const project = await mkdtemp(join(tmpdir(), 'dolly-bundle-'))
  for (const part of ['services', 'shared', 'package.json', 'package-lock.json'])
    await cp(join(projectDirectory, part), join(project, part), { recursive: true, preserveTimestamps: true })
  await symlink(join(projectDirectory, 'node_modules'), join(project, 'node_modules'))
  await execa(process.execPath, ['services/cli/bundle/make.ts'], { cwd: project })
  const { bundle } = bundlePaths(project)
  const text = await readFile(bundle, 'utf8')
  await writeFile(bundle, text.replace('Launches containers', 'Launches bundled containers'))
  return {
    project,
    help: async () => (await execa(join(project, 'services/cli/dolly'), ['--help'])).stdout,
    [Symbol.asyncDispose]: () => rm(project, { recursive: true, force: true }),
  }
}

test('the bundle runs until a source changes; then the sources run', async (t) => {
  await using copy = await projectWithMarkedBundle()
  t.regex(await copy.help(), /Launches bundled containers/)
  await appendFile(join(copy.project, 'shared/failure.ts'), '\n')
  t.regex(await copy.help(), /Launches containers/)
})

test('a bundle that cannot be judged is not run', async (t) => {
  await using copy = await projectWithMarkedBundle()
  await writeFile(bundlePaths(copy.project).sources, '{"shared/fail')
  t.regex(await copy.help(), /Launches containers/)
})
