import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { inspect } from 'node:util'
import { execa } from 'execa'
import { findLeaks } from '../../services/cli/commands/doctor/leaks.ts'
import { deploy } from '../../services/cli/deploy/deploy.ts'
import { undeploy } from '../../services/cli/deploy/undeploy.ts'
import { identify } from '../../services/cli/stack/process-table.ts'
import { freePort } from '../../services/cli/stack/nats-port.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { keptCapabilities } from '../../services/cli/stack/service-privileges.ts'
import { capabilityNames } from '../../shared/capabilities.ts'
import { busAccess, loadConfig } from '../../shared/config.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import {
  cgroupsOf,
  hostLinks,
  inNamespace,
  linksIn,
  processesNaming,
  subvolume,
} from '../helpers/kernel-facts.ts'
import { makeLink } from '../helpers/hosts.ts'
import { eventually } from '../helpers/stack.ts'
import { makeBaseImages } from './base-images.ts'
import { docker, overrideFor, startDocker } from './docker-daemon.ts'
import { deployedNode, joinedHost } from './joined-hosts.ts'
import { plainClient } from './plain-client.ts'
import { composeServices, containerOf, pidOf, stackMemory } from './stack-containers.ts'

const settled = { timeout: 120_000, cwd: join(projectDirectory, 'deploy') }
const compose = (...verb: string[]) =>
  execa('docker', ['compose', '--profile', 'single', '--profile', 'fleet', ...verb], settled)

const step = async (what: string, act: () => Promise<unknown>): Promise<void> => {
  const start = performance.now()
  try {
    await act()
  } catch (error) {
    console.error(`✘ ${what}`, error)
    throw error
  }
  console.log(`✔ ${what} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
}

/** What the namespace service keeps of what the kernel lets this machine's root have. */
const capabilities = async (): Promise<string[]> => {
  const { stdout } = await execa('sed', ['-n', 's/^CapBnd:\\t/0x/p', '/proc/self/status'])
  const there = capabilityNames.filter((_, number) => (BigInt(stdout) >> BigInt(number)) & 1n)
  return Object.keys(keptCapabilities['namespace'] ?? {}).filter((name) => there.includes(name))
}

await using docked = await startDocker()
await using link = await makeLink()
const root = await mkdtemp(join(tmpdir(), 'dolly-deployed-'))
await using cleaning = new AsyncDisposableStack()
cleaning.defer(() => rmSync(root, { recursive: true, force: true }))

Object.assign(process.env, {
  DOLLY_ROOT: root,
  DOLLY_NODE: `compose-${basename(root).slice(-6).toLowerCase()}`,
  DOLLY_COWFS_SIZE: '1G',
  DOLLY_NATS_LISTEN: link.address(1),
  DOLLY_NATS_PORT: String(await freePort([])),
  DOLLY_HEARTBEAT_MS: '500',
  DOLLY_BUILD_NETWORK: 'host',
  DOLLY_IMAGE: 'dolly-test',
  COMPOSE_PROGRESS: 'quiet',
  COMPOSE_PROJECT_NAME: basename(root).toLowerCase(),
  COMPOSE_FILE: `${join(projectDirectory, 'deploy/compose.yaml')}:${await overrideFor(docked.directory, await capabilities())}`,
})
const config = loadConfig()
const isThere = async (pid: number) => (await identify(pid)) !== undefined

await step(
  'base images are made here, for none can be pulled: Node from npm on mmdebstrap, NATS of Debian testing',
  makeBaseImages,
)

cleaning.defer(async () => {
  // What a step that failed has left running.
  if (existsSync(join(root, 'deployment'))) {
    const dolly = (...words: string[]) =>
      execa(join(projectDirectory, 'services/cli/dolly'), words, { reject: false, timeout: 60_000 })
    const { stdout } = await dolly('ps', '--all', '--quiet')
    for (const id of stdout.split('\n').filter(Boolean)) await dolly('rm', '--force', id)
  }
  await undeploy(config)
})
const began = performance.now()
await step('a host is deployed by one command', () => deploy(config))
{
  await using client = await plainClient(config)
  const first = 'compose-1'
  const { data } = await client.create(first, { hostname: 'lab', mem_limit: '64M' })
  console.log(
    `  ${((performance.now() - began) / 1000).toFixed(1)} s from "make deploy" to the first container, the image built`,
  )
  const pid = data.pid ?? 0

  await step('its container is on the host: root, cgroups, network, processes', async () => {
    assert.equal((await subvolume(config.names.rootfs(first))).readonly, false)
    assert.ok((await cgroupsOf(config, first)).length > 0)
    assert.equal(await inNamespace(pid, 'uts', ['hostname']), 'lab')
    const veth = (await hostLinks()).find(({ ifname }) => ifname === config.names.veth(first))
    assert.equal(veth?.master, config.names.bridge)
    assert.ok((await linksIn(pid)).some(({ ifname }) => ifname === 'eth0'))
  })

  for (const service of composeServices) {
    await step(
      `${service} is killed and comes back, and is made anew; containers go on, and new ones start`,
      async () => {
        const before = (await pidOf(service)) ?? 0
        process.kill(before, 'SIGKILL')
        await eventually(
          `${service} is back`,
          async () => ![undefined, before].includes(await pidOf(service)),
          60_000,
        )
        const container = await containerOf(service)
        await compose('up', '--detach', '--no-deps', '--force-recreate', service)
        assert.notEqual(await containerOf(service), container)
        assert.ok(await isThere(pid))
        await client.create(`compose-${service}`)
        await client.remove(`compose-${service}`)
      },
    )
  }

  await step('all is restarted, then all is made anew, with a container running', async () => {
    await compose('restart')
    await client.create('compose-2')
    await compose('up', '--detach', '--force-recreate')
    await client.create('compose-3')
    assert.ok(await isThere(pid))
    for (const id of ['compose-2', 'compose-3']) await client.remove(id)
  })

  await step('all are healthy', async () => {
    const states = async () => await docker('ps', '--format', '{{.Status}}')
    await eventually(
      'all are healthy',
      async () => (await states()).match(/\(healthy\)/g)?.length === composeServices.length,
      90_000,
    )
  })
  const memory = await stackMemory()
  const sum = Object.values(memory).reduce((before, size) => before + size, 0)
  console.log(`  memory of the stack: ${sum} MiB, ${inspect(memory, { breakLength: Infinity })}`)

  await step('there may be more than one orchestrator', async () => {
    process.env['DOLLY_ORCHESTRATORS'] = '2'
    await compose('up', '--detach', '--no-deps', 'orchestrator')
    assert.equal((await containerOf('orchestrator')).split('\n').length, 2)
  })
  const bus = { link, client, url: busAccess(config, 'client').url }
  await step('a second host joins, and has a container by its name', () => joinedHost(bus))
  await step('a host that has joined is deployed as a node: the services alone', () => deployedNode(bus))

  await step(
    'what is undeployed with a container running leaves it running, and is deployed again, for itself alone',
    async () => {
      await undeploy(config)
      assert.equal(await docker('ps', '--all', '--quiet'), '')
      assert.ok(await isThere(pid))
      process.env['DOLLY_NATS_LISTEN'] = ''
      await deploy(loadConfig())
      assert.ok(await isThere(pid))
      assert.equal(await containerOf('registrar'), '')
    },
  )
}
{
  await using client = await plainClient(config)
  await client.remove('compose-1')
}
const bytes = Number(await docker('image', 'inspect', '--format', '{{.Size}}', 'dolly-test'))
console.log(`  size of the image: ${Math.round(bytes / 1e6)} MB`)

await step('undeployed, it leaves nothing', async () => {
  await undeploy(config)
  assert.deepEqual(await findLeaks(config), [])
  assert.deepEqual(
    (await readMountTable()).filter(({ mountPoint }) => mountPoint.startsWith(root)),
    [],
  )
  assert.deepEqual(await processesNaming(root), [])
  assert.equal(await docker('ps', '--all', '--quiet'), '')
  assert.ok(!existsSync(`/sys/class/net/${config.names.bridge}`))
})
