import { copyFile, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { findNatsServer } from '../../services/cli/stack/nats-binary.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { run } from '../../shared/recorder.ts'
import { exists } from '../helpers/kernel-facts.ts'
import { docker } from './docker-daemon.ts'

const cache = join(projectDirectory, '.cache/compose')
const certificates = '/etc/ssl/certs/ca-certificates.crt'
const path = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Writes a tree once, as a tar in the project's cache, and answers the tar. */
const cached = async (name: string, fill: (tree: string) => Promise<void>): Promise<string> => {
  const tar = join(cache, `${name}.tar`)
  if (await exists(tar)) return tar
  await mkdir(cache, { recursive: true })
  const tree = join(cache, `${name}.${process.pid}`)
  try {
    await fill(tree)
    await run('tar', ['--create', '--file', `${tar}.part`, '--directory', tree, '.'])
    await rename(`${tar}.part`, tar)
  } finally {
    await rm(tree, { recursive: true, force: true })
  }
  return tar
}

/** Where this machine gets its packages from, so that the build gets them there too. */
const copyRegistry = async (tree: string): Promise<void> => {
  const { stdout } = await execa('npm', ['config', 'get', 'registry'])
  await mkdir(join(tree, 'usr/local/etc'), { recursive: true })
  await writeFile(join(tree, 'usr/local/etc/npmrc'), `registry=${stdout.trim()}\ncafile=${certificates}\n`)
  await mkdir(join(tree, 'etc/ssl/certs'), { recursive: true })
  await copyFile(certificates, join(tree, certificates))
}

const nodeTree = async (tree: string): Promise<void> => {
  await run('mmdebstrap', ['--quiet', '--variant=minbase', 'bookworm', tree], { timeoutMs: 300_000 })
  await copyFile(process.execPath, join(tree, 'usr/local/bin/node'))
  await execa('npm', ['install', '--silent', '--global', '--prefix', join(tree, 'usr/local'), 'npm@11'])
  await copyRegistry(tree)
}

/** Of Alpine's the health check needs a shell, nc and grep; busybox has them too. */
const natsTree = async (tree: string): Promise<void> => {
  const { path: server } = await findNatsServer()
  const libraries = (await run('ldd', [server])).match(/\/\S+/g) ?? []
  await mkdir(join(tree, 'bin'), { recursive: true })
  for (const file of libraries) {
    await mkdir(join(tree, file, '..'), { recursive: true })
    await copyFile(file, join(tree, file))
  }
  await copyFile(server, join(tree, 'bin/nats-server'))
  await copyFile('/bin/busybox', join(tree, 'bin/busybox'))
  for (const applet of ['sh', 'nc', 'grep']) await symlink('busybox', join(tree, 'bin', applet))
}

/** The images that the Compose file and the Dockerfile name, made here: none can be pulled without a registry. */
export const makeBaseImages = async (): Promise<void> => {
  const compose = await readFile(join(projectDirectory, 'deploy/compose.yaml'), 'utf8')
  const nats = /nats:[\w.-]+-alpine/.exec(compose)?.[0] ?? ''
  const entry = 'ENTRYPOINT ["nats-server"]'
  const node = await cached(`node-${process.versions.node}`, nodeTree)
  await docker('import', '--change', path, node, 'node:24-bookworm-slim')
  const server = await cached(`nats-${(await findNatsServer()).version}`, natsTree)
  await docker('import', '--change', path, '--change', entry, server, nats)
}
