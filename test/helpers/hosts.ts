import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { environmentOf } from '../../services/cli/stack/stack-environment.ts'
import { type Config, loadConfig } from '../../shared/config.ts'
import { shortHash } from '../../shared/names.ts'
import { patienceMs } from '../../shared/patience.ts'
import { run } from '../../shared/recorder.ts'
import { program } from '../cli/dolly.ts'
import { deleteContainers, eventually } from './stack.ts'

const prefixLength = 24

/** A link of the kernel's that its hosts have their addresses on, of RFC 2544's range for tests, and the test one too. */
export const makeLink = async () => {
  const tag = shortHash(`${process.pid}\0${performance.now()}`, 6)
  const bridge = `dtest-${tag}`
  const third = process.pid % 250
  const address = (last: number) => `198.18.${third}.${last}`
  await run('ip', ['link', 'add', bridge, 'type', 'bridge'])
  await run('ip', ['address', 'add', `${address(1)}/${prefixLength}`, 'dev', bridge])
  await run('ip', ['link', 'set', bridge, 'up'])
  return {
    bridge,
    tag,
    address,
    [Symbol.asyncDispose]: async () => void (await run('ip', ['link', 'delete', bridge])),
  }
}
type Link = Awaited<ReturnType<typeof makeLink>>

const entering = (anchor: number): string[] => [
  'nsenter',
  '--target',
  String(anchor),
  '--net',
  '--mount',
  '--',
]

/** A process that holds a network and a mount namespace, in which `/sys` and `/run/netns` are this host's own. */
const makeNamespaces = async (root: string): Promise<ChildProcess> => {
  const anchor = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', '--propagation', 'private', 'sleep', 'infinity'],
    { stdio: 'ignore' },
  )
  const pid = anchor.pid ?? 0
  const outside = await readlink('/proc/self/ns/mnt')
  const is = (name: string) => readlink(`/proc/${pid}/exe`).then((exe) => exe.endsWith(name))
  const isInside = async () => (await readlink(`/proc/${pid}/ns/mnt`)) !== outside && !(await is('unshare'))
  await eventually('the namespaces are there', isInside)
  const inside = (...command: string[]) => {
    const [file = '', ...args] = [...entering(pid), ...command]
    return run(file, args)
  }
  const kept = join(root, 'cgroups')
  await inside('mkdir', '-p', kept, '/run/netns')
  await inside('mount', '--rbind', '/sys/fs/cgroup', kept)
  // It shows the network namespace of whoever mounts it.
  await inside('mount', '-t', 'sysfs', 'sysfs', '/sys')
  await inside('mount', '--rbind', kept, '/sys/fs/cgroup')
  await inside('umount', '-l', kept)
  await inside('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns')
  await inside('ip', 'link', 'set', 'lo', 'up')
  return anchor
}

const plugIn = async ({ bridge, tag, address }: Link, number: number, anchor: number): Promise<string> => {
  const outer = `dt${tag}${number}`
  await run('ip', ['link', 'add', outer, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', String(anchor)])
  await run('ip', ['link', 'set', outer, 'master', bridge, 'up'])
  const [file = '', ...enter] = entering(anchor)
  const own = address(number + 1)
  await run(file, [...enter, 'ip', 'address', 'add', `${own}/${prefixLength}`, 'dev', 'uplink'])
  await run(file, [...enter, 'ip', 'link', 'set', 'uplink', 'up'])
  return own
}

/**
 * A host made of namespaces: its own network, interfaces, named namespaces and root directory, with the cgroups and
 * the processes of the real one. Disposing takes its stack down and leaves nothing.
 */
export const makeHost = async (link: Link, number: number, env: Record<string, string>) => {
  const root = await mkdtemp(join(tmpdir(), 'dolly-test-'))
  const anchor = await makeNamespaces(root)
  const pid = anchor.pid ?? 0
  const address = await plugIn(link, number, pid)
  let stack: ChildProcess | undefined
  const given = () => ({
    DOLLY_ROOT: root,
    DOLLY_COWFS_SIZE: '512M',
    DOLLY_HEARTBEAT_MS: '500',
    DOLLY_RECONCILE_MS: '1000',
    ...env,
  })
  const config = (): Config => loadConfig(given())

  const enter = async (command: string, args: readonly string[], timeoutMs = 60_000, input = '') => {
    const [file = '', ...inside] = entering(pid)
    const { stdout, stderr, exitCode } = await execa(file, [...inside, command, ...args], {
      reject: false,
      input,
      timeout: patienceMs(timeoutMs),
      env: { ...given(), NO_COLOR: '1' },
    })
    return { stdout, stderr, exitCode }
  }
  const dolly = (args: readonly string[], timeoutMs?: number, input?: string) =>
    enter(program, args, timeoutMs, input)

  /** Ends its stack as an operator does, who leaves containers as they are. */
  const down = async (): Promise<string> => {
    const { stderr } = await dolly(['down'], 120_000)
    if (stack && stack.exitCode === null && stack.signalCode === null) await once(stack, 'exit')
    stack = undefined
    return stderr
  }

  return {
    root,
    address,
    config,
    /** Runs any program on this host. */
    enter,
    /** `dolly` on this host; never rejects. */
    dolly,
    /** Starts its stack and resolves when it answers. */
    up: async (): Promise<void> => {
      const [file = '', ...inside] = entering(pid)
      const started = spawn(file, [...inside, program, 'up', '--json', '-q'], {
        env: { ...environmentOf(config()), ...given() },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      stack = started
      let said = ''
      started.stderr?.on('data', (chunk: Buffer) => (said += String(chunk)))
      const ended = once(started, 'exit').then(([code]) => {
        throw new Error(`the stack ended with ${code}: ${said}`)
      })
      await Promise.race([once(started.stdout, 'data'), ended])
      ended.catch(() => undefined) // later it is meant to end
      started.stdout?.resume()
    },
    down,
    [Symbol.asyncDispose]: async () => {
      const left = await down()
      anchor.kill('SIGKILL')
      if (anchor.exitCode === null && anchor.signalCode === null) await once(anchor, 'exit')
      await rm(root, { recursive: true, force: true })
      if (/containers? stays?|cannot release/.test(left)) throw new Error(`${root} is not empty: ${left}`)
    },
  }
}
export type Host = Awaited<ReturnType<typeof makeHost>>

/**
 * Hosts on one link, each made of namespaces. The first has the bus, at its address; the others have joined it.
 * Disposing deletes their containers and takes all of them down.
 */
export const makeHosts = async (nodes: readonly string[], env: Record<string, string> = {}) => {
  await using stack = new AsyncDisposableStack()
  const link = stack.use(await makeLink())
  const hosts: Host[] = []
  for (const [index, node] of nodes.entries()) {
    const own: Record<string, string> =
      index === 0 ? { DOLLY_NODE: node, DOLLY_NATS_LISTEN: link.address(2) } : {}
    hosts.push(stack.use(await makeHost(link, index + 1, { ...env, ...own })))
  }
  const bus = hosts[0]!
  await bus.up()
  const { url: busUrl } = JSON.parse((await bus.dolly(['info', '--json'])).stdout).nats as { url: string }
  const moved = stack.move()
  return {
    hosts,
    url: busUrl,
    /** Lets a host join as a node, by a token of the bus's host, and starts its services. */
    join: async (host: Host, node: string): Promise<void> => {
      const { stdout: token } = await bus.dolly(['node', 'token', '--node', node])
      const { exitCode, stderr } = await host.dolly(['join', busUrl, '--token', token])
      if (exitCode !== 0) throw new Error(stderr)
      await host.up()
    },
    [Symbol.asyncDispose]: async () => {
      // What keeps a container from being deleted must not keep the hosts.
      await using _hosts = moved
      await deleteContainers(bus.config())
    },
  }
}
export type Hosts = Awaited<ReturnType<typeof makeHosts>>
