import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { requireDeployable } from '../../services/cli/deploy/checks.ts'
import { settingsOf } from '../../services/cli/deploy/settings.ts'
import { writeAccess } from '../../services/cli/stack/access-files.ts'
import { requireNoKeeper, writeKeeper } from '../../services/cli/stack/deployment.ts'
import { projectDirectory, serviceNames } from '../../services/cli/stack/project.ts'
import { keptCapabilities } from '../../services/cli/stack/service-privileges.ts'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { unitFiles } from '../../services/cli/system/units.ts'
import { loadConfig } from '../../shared/config.ts'
import { writeDurably } from '../../shared/durable-file.ts'
import { Failure } from '../../shared/failure.ts'
import { patienceMs } from '../../shared/patience.ts'
import { temporaryConfig } from '../helpers/host.ts'

const fixtures = join(import.meta.dirname, 'fixtures')

test.serial('all that a host lacks for a deployment is said at once, and nothing is changed', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const programs = join(config.root, 'programs')
  await mkdir(programs)
  await writeFile(join(programs, 'docker-compose'), '#!/bin/sh\necho 1.29.2\n', { mode: 0o755 })
  await mkdir(config.names.nats)
  const access = join(config.names.nats, 'access.json')
  await writeFile(access, '{"url":"nats://127.0.0.1:1","users":{}}')
  await chmod(access, 0o644)
  await using other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const before = await readdir(config.root, { recursive: true })

  const path = process.env['PATH']
  process.env['PATH'] = programs
  t.teardown(() => void (process.env['PATH'] = path))
  const error = await t.throwsAsync(() => requireDeployable(config, port), { instanceOf: Failure })
  for (const reason of [
    /"docker-compose" is 1\.29\.2; install version 2\.20 or newer/,
    /cannot use Docker: there is no program "docker"/,
    new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use by something else`),
    /others can read .*access\.json \(mode 644\)/,
  ])
    t.regex(error?.message ?? '', reason)
  t.deepEqual(await readdir(config.root, { recursive: true }), before)
})

test('an address that no interface has is refused before anything is written', async (t) => {
  await using temporary = await temporaryConfig({ DOLLY_NATS_LISTEN: '192.0.2.77' })
  const error = await t.throwsAsync(() => requireDeployable(temporary.config, 4222), { instanceOf: Failure })
  t.regex(error?.message ?? '', /no interface of this host has DOLLY_NATS_LISTEN "192\.0\.2\.77"/)
  t.deepEqual(await readdir(temporary.config.root), [])
})

test('a bus with TLS is refused for services in Docker', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const natsTls = { ...config.natsTls, ca: '/etc/ssl/certs/ca-certificates.crt' }
  const error = await t.throwsAsync(() => requireDeployable({ ...config, natsTls }, 4222))
  t.regex(error?.message ?? '', /the bus uses TLS, whose certificates services in Docker do not see/)
})

test('a host that has joined is refused without its keys, with keys that others can read, and without its bus', async (t) => {
  await using temporary = await temporaryConfig()
  const { root, names } = temporary.config
  const url = 'nats://127.0.0.1:1'
  await writeDurably(join(root, 'joined.json'), JSON.stringify({ node: 'b', url, subnet: '10.80.0.0/20' }))
  const config = loadConfig({ DOLLY_ROOT: root })
  const refused = async () => {
    const error = await t.throwsAsync(() => requireDeployable(config, 4222), { instanceOf: Failure })
    return error?.message ?? ''
  }
  const missing = await refused()
  t.regex(missing, /there is no .*access\.json: "dolly node rm b" on the bus's host, then join again/)
  t.regex(missing, /cannot reach the bus at nats:\/\/127\.0\.0\.1:1/)
  t.notRegex(missing, /port 4222/, 'it has no server')

  const user = { user: 'x', password: 'y' }
  const roles = ['storage', 'cgroup', 'network', 'namespace', 'operator']
  await writeAccess(config, { url, users: Object.fromEntries(roles.map((role) => [role, user])) })
  t.notRegex(await refused(), /there is no .*access/)
  const open = join(names.nats, 'users/cgroup/access.json')
  await chmod(open, 0o640)
  t.regex(await refused(), /others can read .*users\/cgroup\/access\.json \(mode 640\)/)

  const program = join(projectDirectory, 'services/cli/dolly')
  const up = () => execa(program, ['up', '-d', '-q'], { env: { DOLLY_ROOT: root }, reject: false })
  t.regex((await up()).stderr, /others can read .*users\/cgroup\/access\.json/)
  await chmod(open, 0o600)
  const { exitCode, stderr } = await up()
  t.is(exitCode, 1)
  t.regex(stderr, /cannot reach the bus at nats:\/\/127\.0\.0\.1:1/)
})

test('a host that has joined has units of its services alone, and Compose is told its addresses', async (t) => {
  await using temporary = await temporaryConfig()
  const { root } = temporary.config
  const joined = { node: 'b', url: 'nats://192.0.2.1:4222', subnet: '10.80.0.0/20' }
  await writeDurably(join(root, 'joined.json'), JSON.stringify(joined))
  const config = loadConfig({ DOLLY_ROOT: root })
  const units = unitFiles(config)
  const services = ['cgroup', 'namespace', 'network', 'storage'].map((name) => `dolly-${name}.service`)
  t.deepEqual([...units.keys()].toSorted(), [...services, 'dolly.target'])
  t.regex(units.get('dolly.target') ?? '', new RegExp(`^Wants=${services.join(' ')}$`, 'm'))
  for (const [name, text] of units) t.notRegex(text, /@\w+@/, name)
  const { settings } = settingsOf(config, {})
  t.is(settings.DOLLY_SUBNET, joined.subnet)
  t.is(settings.DOLLY_NODE, 'b')
})

test('Compose passes on every setting of a service', async (t) => {
  const text = await readFile(join(projectDirectory, 'deploy/compose.yaml'), 'utf8')
  const passed = /^x-settings:.*\n((?:  .*\n)+)/m.exec(text)?.[1] ?? ''
  // Where the bus is and who is on it each service is given; the rest is files of the host, or the tests' own.
  const otherwise = /^DOLLY_(NATS_.*|COWFS|MATRIX_SAMPLE|TIME_FACTOR)$/
  for (const name of Object.keys(environmentOf(loadConfig())))
    if (name.startsWith('DOLLY_') && !otherwise.test(name))
      t.regex(passed, new RegExp(`^  ${name}:`, 'm'), name)
})

test('a deployment is refused where the kernel has no btrfs and mounts are not shared', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  const hidden = await mkdtemp(join(tmpdir(), 'dolly-test-'))
  t.teardown(() => rm(hidden, { recursive: true }))
  const words = ['--mount', '--propagation', 'private', '--', join(fixtures, 'without-btrfs.sh'), hidden]
  const program = [process.execPath, join(projectDirectory, 'services/cli/deploy/main.ts'), 'up']
  const { exitCode, stderr } = await execa('unshare', [...words, ...program], {
    reject: false,
    timeout: patienceMs(60_000),
    env: environmentOf(config),
  })
  t.is(exitCode, 1)
  t.regex(stderr, /^dolly: cannot deploy: [^\n]*$/, 'one line with everything')
  t.regex(stderr, /kernel: btrfs is absent/)
  const shared = 'is no shared mount: "mount --make-shared [^"]*" makes it one until the next boot'
  t.regex(stderr, new RegExp(`where ${config.root} is, ${shared}`))
  t.regex(stderr, new RegExp(`where /run/netns is, ${shared}`))
  t.deepEqual(await readdir(config.root), [])
})

test('a stack that Compose runs is neither started nor stopped by others', async (t) => {
  await using temporary = await temporaryConfig()
  await requireNoKeeper(temporary.config, 'start')
  await writeKeeper(temporary.config, 'Compose')
  await requireNoKeeper(temporary.config, 'deploy', 'Compose')
  const error = await t.throwsAsync(() => requireNoKeeper(temporary.config, 'start'))
  t.regex(
    error?.message ?? '',
    /^cannot start the stack of .*: Compose runs it; "make undeploy" takes it down$/,
  )
})

test('a port that is none is refused by its name', async (t) => {
  await using temporary = await temporaryConfig()
  const { config } = temporary
  t.throws(() => settingsOf(config, { DOLLY_NATS_PORT: 'nats' }), { message: /DOLLY_NATS_PORT "nats"/ })
  t.is(settingsOf(config, {}).port, 4222)
})

test('in Docker each service has the capabilities that it has without', async (t) => {
  const text = await readFile(join(projectDirectory, 'deploy/compose.yaml'), 'utf8')
  const services = text.slice(text.indexOf('\nservices:'), text.indexOf('\nsecrets:'))
  const added = (name: string): string[] => {
    const own = new RegExp(`^  ${name}:\\n(?:(?:    .*)?\\n)+`, 'm').exec(services)?.[0]
    t.truthy(own, `${name} is a service`)
    const list = /^    cap_add:((?: \[.*\]|(?:\n +- .*)+))$/m.exec(own ?? '')?.[1]
    return list?.match(/[A-Z_]+(?=[\n,\]}]|$)/g)?.toSorted() ?? []
  }
  for (const name of [...serviceNames, 'registrar'])
    t.deepEqual(added(name), Object.keys(keptCapabilities[name] ?? {}).toSorted(), name)
  const { settings } = settingsOf(loadConfig({ DOLLY_ALLOW_PRIVILEGED: 'on' }), {})
  t.is(settings.DOLLY_NAMESPACE_CAPABILITY, 'ALL')
})
