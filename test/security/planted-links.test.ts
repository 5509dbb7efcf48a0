import { readFileSync, readdirSync } from 'node:fs'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { masked, readonlyPaths } from '../../services/namespace/restrictions.ts'
import { execStart, execWait, processExec } from '../../shared/contracts/operations.ts'
import { parseMountTable } from '../../shared/mount-table.ts'
import { type NamespaceTestHost, namespaceHost } from '../namespace/namespace-host.ts'

/** A link of the image in place of whatever was there; a file of the host that none may reach lies beside the root. */
const plant = async ({ rootfs }: NamespaceTestHost, path: string, target: string) => {
  const place = join(rootfs, path)
  await rm(place, { recursive: true, force: true })
  await mkdir(dirname(place), { recursive: true })
  await symlink(target, place)
}
const victimOf = async ({ config }: NamespaceTestHost) => {
  const victim = join(config.root, 'victim')
  await mkdir(victim)
  await writeFile(join(victim, 'file'), 'host')
  return victim
}

/** Everything that the plan puts somewhere in the image's own tree. */
const places = ['/scratch', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf']
const wish = { tmpfs: ['/scratch'], ownNetwork: true }

const kernels = [
  '/',
  '/proc',
  '/proc/sys',
  '/proc/loadavg',
  '/proc/self/oom_score_adj',
  '/sys',
  '/sys/fs/cgroup',
  '/dev',
  '/dev/shm',
  '/dev/null',
  '/dev/pts',
  '/dev/pts/ptmx',
  '/dev/mqueue',
]
/** Files of the kernel's own kind of link, which lead anywhere. */
const magic = ['/proc/self/fd/1', '/proc/self/cwd', '/proc/1/root', '/proc/self/exe', '/proc/self/ns/net']

for (const place of places)
  test(`a link planted at ${place} takes no mount to the root, to the kernel's file systems or through magic links`, async (t) => {
    await using host = await namespaceHost()
    for (const target of [...kernels, ...magic]) {
      await plant(host, place, target)
      const refused = await t.throwsAsync(host.make('x', wish), undefined, target)
      t.regex(refused?.message ?? '', /leads to its root, \/proc, \/sys or \/dev|ELOOP|ENOTDIR/, target)
    }
  })

test('one that leads out of the image by climbing leads into it', async (t) => {
  await using host = await namespaceHost()
  const victim = await victimOf(host)
  for (const [index, place] of places.entries()) {
    await plant(host, place, `../../../../../../../..${victim}/at${index}`)
  }
  await host.make('x', wish)
  const points = parseMountTable(readFileSync(`/proc/${(await host.state('x'))['pid']}/mountinfo`, 'utf8'))
  for (const index of places.keys())
    t.true(points.some(({ mountPoint }) => mountPoint === `${victim}/at${index}`))
  t.deepEqual(readdirSync(victim), ['file'])
})

/** What the image has where /proc, /sys and /dev come: all of it lies beneath them. */
const beneath = [
  ...masked.directories,
  ...masked.files,
  ...readonlyPaths,
  '/proc/self',
  '/sys/fs/cgroup',
  '/dev/null',
  '/dev/shm',
  '/dev/pts',
  '/dev/mqueue',
  '/dev/console',
  '/dev/ptmx',
]

test('links planted at every mask and every mount of the kernel’s are never met', async (t) => {
  await using host = await namespaceHost()
  const victim = await victimOf(host)
  for (const path of beneath) await plant(host, path, victim)
  const asked = [...masked.files, '/dev/null', '/dev/shm', '/dev/pts', '/sys/fs']
  const script = `for path in ${asked.join(' ')}; do echo "$path $(readlink $path)"; done; stat -c %t:%T /dev/null`
  await host.make('x', { ...wish, args: ['sh', '-c', script] })
  await host.exitCode('x')
  const lines = host.output('x').split('\n')
  t.deepEqual(
    lines.slice(0, asked.length),
    asked.map((path) => `${path} `),
  )
  t.is(lines.at(asked.length), '1:3')
  t.deepEqual(readdirSync(victim), ['file'])
  t.is(readFileSync(join(victim, 'file'), 'utf8'), 'host')
})

const exitOf = async (host: NamespaceTestHost, cwd: string) => {
  const { execId } = await host.request(processExec, { id: 'x', args: ['pwd'], cwd })
  await host.request(execStart, { id: 'x', execId })
  return host.request(execWait, { id: 'x', execId, timeoutMs: 20_000 })
}

test('no working directory leads out by a descriptor or a link of the kernel’s, at the start or in an exec', async (t) => {
  await using host = await namespaceHost()
  await host.make('x', wish)
  const descriptors = Array.from({ length: 12 }, (_, number) => `/proc/self/fd/${number}`)
  const directories = [...descriptors, ...magic, '/proc/self/fd/8/../../..', '/proc/1/cwd', '/work']
  await plant(host, '/work', '/proc/self/fd/7')
  const refuse = async (act: Promise<unknown>, cwd: string, context: ExecutionContext) => {
    const error = await context.throwsAsync(act, undefined, cwd)
    context.regex(error?.message ?? '', /ELOOP|ENOENT|ENOTDIR|no such|not a directory|symbolic links/i, cwd)
  }
  for (const cwd of directories) {
    await refuse(host.make('y', { process: { cwd } }), cwd, t)
    await refuse(exitOf(host, cwd), cwd, t)
  }
  await host.make('z', { process: { cwd: '/../../../etc' }, args: ['pwd'] })
  t.is(await host.exitCode('z'), 0)
  t.is(host.output('z'), '/etc\n')
})
