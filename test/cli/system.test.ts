import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { keptCapabilities } from '../../services/cli/stack/service-privileges.ts'
import { loadDefaults } from '../../services/cli/system/defaults.ts'
import { unitDirectory, unitFiles, unitNames } from '../../services/cli/system/units.ts'
import { loadConfig } from '../../shared/config.ts'
import { patienceMs } from '../../shared/patience.ts'
import { run } from '../../shared/recorder.ts'
import { exists, hostLinks } from '../helpers/kernel-facts.ts'
import { eventually } from '../helpers/stack.ts'
import { program } from './dolly.ts'

const booted = existsSync('/run/systemd/system')
const onSystemd = booted ? test.serial : test.serial.skip

test('a unit keeps the capabilities that its service keeps under our own supervisor', (t) => {
  const units = unitFiles(loadConfig({ DOLLY_ROOT: '/srv/dolly', DOLLY_NODE: 'here' }), {
    nats: '/usr/bin/nats-server',
    fleet: true,
  })
  for (const [name, text] of units) t.notRegex(text, /@\w+@/, name)
  for (const name of ['storage', 'cgroup', 'network', 'orchestrator', 'registrar']) {
    const bounding = /^CapabilityBoundingSet=(.*)$/m.exec(units.get(`dolly-${name}.service`) ?? '')?.[1]
    const wanted = Object.keys(keptCapabilities[name] ?? {}).map((capability) => `CAP_${capability}`)
    t.deepEqual(bounding?.split(' ').filter(Boolean).toSorted(), wanted.toSorted(), name)
  }
  t.throws(() => unitFiles(loadConfig({ DOLLY_ROOT: '/var/lib/my dolly' })), {
    message: /^cannot use systemd with the root "\/var\/lib\/my dolly"/,
  })
})

const analyze = '/usr/bin/systemd-analyze'
const withSystemd = existsSync(analyze) ? test : test.skip
withSystemd(
  'systemd has nothing to say against the units, of the bus and of a host that has joined one',
  async (t) => {
    const config = loadConfig({ DOLLY_ROOT: '/srv/dolly', DOLLY_NODE: 'here' })
    const nats = process.execPath
    for (const bus of [{ nats, fleet: true }, { nats, fleet: false }, undefined]) {
      const directory = mkdtempSync('/tmp/dolly-test-')
      t.teardown(() => rmSync(directory, { recursive: true, force: true }))
      const units = unitFiles(config, bus)
      for (const [name, text] of units) writeFileSync(join(directory, name), text)
      const files = [...units.keys()].map((name) => join(directory, name))
      const { exitCode, stderr } = await execa(analyze, ['verify', ...files], { reject: false })
      t.is(stderr, '')
      t.is(exitCode, 0)
    }
  },
)

test('settings of the administrator win over the environment, and no others are taken', (t) => {
  const directory = mkdtempSync('/tmp/dolly-test-')
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const file = join(directory, 'dolly')
  writeFileSync(file, '# where others reach it\nDOLLY_NATS_LISTEN="192.0.2.1"\nPATH=/nowhere\n')
  const env = { DOLLY_NATS_LISTEN: '127.0.0.2', DOLLY_NODE: 'here', PATH: '/bin' }
  loadDefaults(file, env)
  t.deepEqual(env, { DOLLY_NATS_LISTEN: '192.0.2.1', DOLLY_NODE: 'here', PATH: '/bin' })
  loadDefaults(join(directory, 'none'), env)
})

const stack = (root: string, more: Record<string, string> = {}) => {
  const env = {
    DOLLY_ROOT: root,
    DOLLY_NODE: 'units',
    DOLLY_NATS_LISTEN: '127.0.0.2',
    DOLLY_NATS_PORT: '14222',
    NO_COLOR: '1',
    DOLLY_COWFS_SIZE: '1G',
    ...more,
  }
  const dolly = (...args: string[]) =>
    execa(program, args, { env, reject: false, input: '', timeout: patienceMs(60_000) })
  const done = async (...args: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await dolly(...args)
    if (exitCode !== 0) throw new Error(`dolly ${args.join(' ')}: ${stderr}`)
    return stdout
  }
  return { root, dolly, done, names: loadConfig(env).names }
}

/** A root that has joined the bus of a stack as a node; the stack's registrar has let it in. */
const joined = async (done: ReturnType<typeof stack>['done'], node: string): Promise<string> => {
  const root = mkdtempSync('/var/lib/dolly-test-')
  const { nats } = JSON.parse(await done('info', '--json')) as { nats: { url: string } }
  const token = await done('node', 'token', '--node', node)
  await stack(root, { DOLLY_NODE: '' }).done('join', nats.url, '--token', token)
  return root
}

if (!booted)
  test.serial('where systemd does not run the host nothing is installed, and it is said', async (t) => {
    const root = mkdtempSync('/var/lib/dolly-test-')
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const { dolly } = stack(root)
    for (const verb of ['install', 'uninstall']) {
      const { exitCode, stderr } = await dolly('system', verb)
      t.is(exitCode, 1)
      t.is(stderr, `dolly: cannot ${verb}: systemd does not run this host; "dolly up" needs none`)
    }
    t.deepEqual(readdirSync(root), [])
  })

onSystemd(
  'a stack run by systemd: installed, each unit restarted under a container, taken away',
  async (t) => {
    const root = mkdtempSync('/var/lib/dolly-test-')
    const { dolly, done, names } = stack(root)
    t.teardown(async () => {
      await dolly('rm', '-f', 'lives')
      await dolly('system', 'uninstall')
      rmSync(root, { recursive: true, force: true })
    })
    const unfit = await stack(root, { DOLLY_COWFS_SIZE: '900T' }).dolly('system', 'install', '--now')
    t.is(unfit.exitCode, 1)
    t.regex(
      unfit.stderr,
      /^dolly: cannot install: dolly-storage.service has failed: cannot make a file system/m,
    )
    await done('system', 'uninstall')

    await done('system', 'install', '--now')
    const units = unitNames()
    const verified = await execa(
      'systemd-analyze',
      ['verify', ...units.map((name) => join(unitDirectory, name))],
      {
        reject: false,
      },
    )
    t.is(verified.exitCode, 0)
    t.is(verified.stderr, '', 'nothing to complain about')
    t.regex((await dolly('up', '-d')).stderr, /systemd runs it; "dolly system uninstall" takes it down/)

    const id = await done('run', '-d', '-q', '--name', 'lives', 'busybox', 'sleep', '100000')
    const [{ pid }] = JSON.parse(await done('inspect', 'lives')) as [{ pid: number }]
    for (const name of units.filter((unit) => unit.endsWith('.service'))) {
      await run('systemctl', ['restart', name], { timeoutMs: 120_000 })
      t.is(await done('run', '--rm', '-q', 'busybox', 'echo', name), name)
      t.true(await exists(`/proc/${pid}`), name)
    }
    const main = await run('systemctl', [
      'show',
      '--property',
      'MainPID',
      '--value',
      'dolly-orchestrator.service',
    ])
    t.regex(readFileSync(`/proc/${main.trim()}/status`, 'utf8'), /^CapBnd:\t0+$/m)
    const keys = await joined(done, 'elsewhere')
    t.teardown(() => rmSync(keys, { recursive: true, force: true }))
    await done('node', 'rm', 'elsewhere')

    t.is(
      (await run('systemctl', ['show', '--property', 'Delegate', '--value', 'dolly-cgroup.service'])).trim(),
      'yes',
    )

    const kept = await dolly('system', 'uninstall')
    t.regex(kept.stderr, new RegExp(`^containers that stay: ${id}$`, 'm'))
    t.true(await exists(`/proc/${pid}`))
    await done('system', 'install', '--now')
    await stack(root, { DOLLY_NATS_LISTEN: '' }).done('system', 'install', '--now')
    const registrar = 'dolly-registrar.service'
    t.false(existsSync(join(unitDirectory, registrar)), 'no others reach this bus any more')
    t.notRegex(await run('systemctl', ['list-units', '--plain', '--no-legend', registrar]), /active/)
    t.is(await done('exec', 'lives', 'echo', 'again'), 'again')
    await done('rm', '-f', 'lives')
    await done('system', 'uninstall')
    await done('system', 'uninstall')
    t.deepEqual(
      units.filter((name) => existsSync(join(unitDirectory, name))),
      [],
    )
    t.false(await exists(`/proc/${pid}`))
    t.false((await hostLinks()).some(({ ifname }) => ifname === names.bridge))
    t.notRegex(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(` ${names.cowfs} `))
  },
)

onSystemd('a host that has joined: systemd runs its services alone, on a bus elsewhere', async (t) => {
  const bus = stack(mkdtempSync('/var/lib/dolly-test-'), { DOLLY_NODE: 'bus', DOLLY_HEARTBEAT_MS: '500' })
  t.teardown(async () => {
    await bus.dolly('down')
    rmSync(bus.root, { recursive: true, force: true })
  })
  await bus.done('up', '-d', '-q')
  const root = await joined(bus.done, 'units')
  const { dolly, done, names } = stack(root, { DOLLY_NODE: '' })
  t.teardown(async () => {
    await dolly('system', 'uninstall')
    rmSync(root, { recursive: true, force: true })
  })

  await done('system', 'install', '--now')
  const active = await run('systemctl', ['list-units', '--plain', '--no-legend', ...unitNames()])
  t.deepEqual(active.match(/^dolly\S+/gm)?.toSorted(), [
    'dolly-cgroup.service',
    'dolly-namespace.service',
    'dolly-network.service',
    'dolly-storage.service',
    'dolly.target',
  ])
  const isReady = async () => /^units +Ready/m.test(await bus.done('node', 'ls'))
  await eventually('the node is ready', isReady, 60_000)
  await bus.done(
    'run',
    '-d',
    '-q',
    '--name',
    'there',
    '--constraint',
    'node.hostname==units',
    'busybox',
    'sleep',
    '1000',
  )
  const [{ node }] = JSON.parse(await bus.done('inspect', 'there')) as [{ node: string }]
  t.is(node, 'units')
  await bus.done('rm', '-f', 'there')
  await done('system', 'uninstall')
  t.false((await hostLinks()).some(({ ifname }) => ifname === names.bridge))
  await bus.done('node', 'rm', '--force', 'units')
  t.notRegex(await bus.done('node', 'ls'), /^units /m)
})
