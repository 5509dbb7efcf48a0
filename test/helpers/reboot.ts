import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { down } from '../../services/cli/stack/down.ts'
import { startSupervisor } from '../../services/cli/stack/up.ts'
import type { Config } from '../../shared/config.ts'
import { signal } from './fault-processes.ts'
import { idLeasesOf } from './host-state.ts'
import { type Stack, eventually } from './stack.ts'

/** Runs a system program; answers what it printed. */
export const run = async (program: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(program, args, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })).stdout

const cgroupRoots = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')

/** The cgroups of the stack, those inside before those around. */
const cgroupsOf = ({ names }: Config): string[] =>
  cgroupRoots()
    .map((root) => join(root, names.cgroupParent))
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => [
      directory,
      ...readdirSync(directory, { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isDirectory())
        .map(({ parentPath, name }) => join(parentPath, name)),
    ])
    .toReversed()

/** Every process of the stack's containers and their monitors. */
export const containerProcesses = (config: Config, where = ''): number[] => [
  ...new Set(
    cgroupsOf(config)
      .filter((directory) => directory.includes(where))
      .flatMap((directory) => readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n'))
      .filter(Boolean)
      .map(Number),
  ),
]

/** Takes from the kernel all that a reboot takes: processes, cgroups, namespaces, links, tables, mounts, loops. */
const loseKernel = async (config: Config): Promise<void> => {
  const { names } = config
  // Monitors first: none must live to write down how its container ended.
  for (const where of [names.monitorCgroup, '']) {
    for (const pid of containerProcesses(config, where)) signal(pid, 'SIGKILL')
    await eventually('they have ended', () => containerProcesses(config, where).length === 0)
  }
  for (const directory of cgroupsOf(config)) {
    const removed = () => {
      try {
        rmdirSync(directory)
      } catch {
        // Busy for a moment after its last process.
      }
      return !existsSync(directory)
    }
    await eventually(`${directory} is removed`, removed)
  }
  for (const name of readdirSync('/run/netns').filter((netns) => netns.startsWith(names.netnsPrefix)))
    await run('ip', 'netns', 'delete', name)
  for (const lease of await idLeasesOf(config)) rmSync(join(names.idLeases, lease))
  await run('ip', 'link', 'delete', names.bridge)
  await run('nft', 'delete', 'table', 'inet', names.nftTable)
  const source = (await run('findmnt', '-no', 'SOURCE', names.cowfs)).trim().replace(/\[.*/, '')
  await run('umount', names.cowfs)
  if (source.startsWith('/dev/loop')) await run('losetup', '--detach', source)
  await eventually('the host ends of the veths have gone', () =>
    readdirSync('/sys/class/net').every((name) => !name.startsWith(names.vethPrefix)),
  )
}

/** Stops the stack with its bus, does something to the host meanwhile, and starts it again. */
export const restarted = async ({ config }: Stack, meanwhile: () => Promise<void>): Promise<void> => {
  await down(config)
  try {
    await meanwhile()
  } finally {
    // Whatever came of it: only a running stack can be taken down without a trace.
    const { letGo: leave } = await startSupervisor(config, { bound: true })
    supervisors.set(config.root, leave)
  }
}

/** Connections to the supervisors that `restarted` began, by root: each ends its stack with this process. */
const supervisors = new Map<string, () => void>()

/** Ends the wait for a supervisor that `restarted` began, once its stack is down. */
export const letGo = ({ config }: Stack): void => supervisors.get(config.root)?.()

/** A reboot as the stack sees it: all that was in the kernel is gone, disk and log are as they were. */
export const rebooted = (stack: Stack): Promise<void> => restarted(stack, () => loseKernel(stack.config))
