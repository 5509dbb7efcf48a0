import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, readFile, readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { findLeaks } from '../../services/cli/commands/doctor/leaks.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { type Config, loadConfig } from '../../shared/config.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import { program } from '../cli/dolly.ts'
import { type makeLink, makeHost } from '../helpers/hosts.ts'
import { cgroupsOf, processesNaming } from '../helpers/kernel-facts.ts'
import { eventually } from '../helpers/stack.ts'
import { docker } from './docker-daemon.ts'
import type { PlainClient } from './plain-client.ts'

/** The deployed stack whose bus others join. */
interface BusHost {
  link: Awaited<ReturnType<typeof makeLink>>
  client: PlainClient
  url: string
}

/** `dolly` on the deployed host, which this process's environment leads to, or on another one. */
const dolly = async (args: readonly string[], env: Record<string, string> = {}): Promise<string> =>
  (await execa(program, args, { env, input: '', timeout: 60_000 })).stdout

const nodes = async (): Promise<string[]> =>
  (await dolly(['node', 'ls', '--quiet'])).split('\n').filter(Boolean)

/** A container that is asked for on this node is there, goes, and the node is taken out once `end` has ended it. */
const usedAndTakenOut = async (
  { client }: BusHost,
  { node, config, end }: { node: string; config: Config; end: () => Promise<unknown> },
): Promise<void> => {
  const ready = async () => new RegExp(`^${node} +Ready`, 'm').test(await dolly(['node', 'ls']))
  await eventually(`${node} is ready`, ready, 60_000)
  assert.equal((await nodes()).length, 2)
  const id = `compose-on-${node}`
  await client.create(id, { placement: { node } })
  assert.ok((await cgroupsOf(config, id)).length > 0, `${id} is on ${node}`)
  await client.remove(id)
  assert.deepEqual(await cgroupsOf(config, id), [])
  await end()
  await dolly(['node', 'rm', '--force', node])
  assert.equal((await nodes()).includes(node), false)
}

/** A host in network and mount namespaces of its own: a token, `dolly join`, `dolly up`. */
export const joinedHost = async (bus: BusHost): Promise<void> => {
  await using host = await makeHost(bus.link, 1, { DOLLY_NODE: '', DOLLY_NATS_LISTEN: '' })
  const token = await dolly(['node', 'token', '--node', 'far'])
  const joined = await host.dolly(['join', bus.url, '--token', token])
  assert.equal(joined.exitCode, 0, joined.stderr)
  await host.up()
  await usedAndTakenOut(bus, { node: 'far', config: host.config(), end: host.down })
}

const secretsOf = async ({ names }: Config): Promise<string[]> => {
  const users = join(names.nats, 'users')
  return (await readdir(users)).map((user) => join(users, user, 'access.json'))
}

/** A root and a project of Compose's own beside the deployed one's: a token, `dolly join`, "make deploy". */
export const deployedNode = async (bus: BusHost): Promise<void> => {
  const root = await mkdtemp(join(tmpdir(), 'dolly-node-'))
  const project = basename(root).toLowerCase()
  const env = {
    DOLLY_ROOT: root,
    DOLLY_NODE: '',
    DOLLY_NATS_LISTEN: '',
    DOLLY_NATS_PORT: '',
    DOLLY_COWFS_SIZE: '512M',
    COMPOSE_PROJECT_NAME: project,
  }
  const main = join(projectDirectory, 'services/cli/deploy/main.ts')
  const make = (verb: 'up' | 'down') => execa(process.execPath, [main, verb], { env, timeout: 180_000 })
  const running = async () =>
    (await docker('ps', '--format', '{{.Label "com.docker.compose.service"}}', '--filter', `name=${project}`))
      .split('\n')
      .toSorted()
  await using cleaning = new AsyncDisposableStack()
  cleaning.defer(async () => {
    if (existsSync(join(root, 'deployment'))) await make('down')
    rmSync(root, { recursive: true, force: true })
  })

  const token = await dolly(['node', 'token', '--node', 'near'])
  await dolly(['join', bus.url, '--token', token], env)
  await make('up')
  const config = loadConfig(env)
  assert.deepEqual(await running(), ['cgroup', 'namespace', 'network', 'storage'])
  for (const file of await secretsOf(config)) {
    assert.equal((await stat(file)).mode & 0o777, 0o600, file)
    assert.match(await readFile(file, 'utf8'), /"seed"/)
  }
  await usedAndTakenOut(bus, {
    node: 'near',
    config,
    end: async () => {
      await make('down')
      assert.deepEqual(await findLeaks(config), [])
    },
  })
  assert.deepEqual(
    (await readMountTable()).filter(({ mountPoint }) => mountPoint.startsWith(root)),
    [],
  )
  assert.deepEqual(await processesNaming(root), [])
  assert.ok(!existsSync(`/sys/class/net/${config.names.bridge}`))
}
