import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ProcessIdentity, findProcesses } from '../../services/cli/stack/process-table.ts'
import { memoryOptions } from '../../services/cli/stack/stack-environment.ts'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import type { Config } from '../../shared/config.ts'
import { errnoOf } from '../../shared/failure.ts'
import { type Stack, eventually } from './stack.ts'

/** The running processes of one service of a stack, as the kernel knows them. */
export const processesOf = (config: Config, service: string): Promise<ProcessIdentity[]> =>
  findProcesses(
    (args) => args.some((arg) => arg.endsWith(`services/${service}/main.ts`)),
    [`DOLLY_ROOT=${config.root}`],
  )

/** The one process of a service that a stack runs once. */
export const pidOf = async (config: Config, service: string): Promise<number | undefined> =>
  (await processesOf(config, service))[0]?.pid

/** The stack's NATS server, known by the configuration it was started with. */
export const natsServerOf = (config: Config): Promise<ProcessIdentity[]> =>
  findProcesses((args) => args.includes(join(config.names.nats, 'nats.conf')))

/** Sends a signal to a process; one that has just ended is success. */
export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}

/** Waits until a service answers from another process than `before`. */
export const replaced = (config: Config, service: string, before: number | undefined): Promise<void> =>
  eventually(
    `${service} runs again as another process than ${before}`,
    async () => ![undefined, before].includes(await pidOf(config, service)),
    30_000,
  )

const startOne = ({ env, info }: Stack, file: FileHandle): ChildProcess =>
  // It ends with this process, however this process ends: setpriv asks the kernel for that and becomes node.
  spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      process.execPath,
      ...memoryOptions('orchestrator'),
      'services/orchestrator/main.ts',
    ],
    {
      cwd: projectDirectory,
      env: { ...env, DOLLY_NATS_URL: info.url },
      stdio: ['ignore', file.fd, file.fd],
    },
  )

/**
 * Runs further orchestrators beside the stack's own and starts each anew as soon as it has died, without
 * the pause of a supervisor. Disposing ends them.
 */
export const moreOrchestrators = async (stack: Stack, count: number) => {
  const file = await open(join(stack.config.names.logs, 'more-orchestrators.log'), 'a')
  const children = new Set<ChildProcess>()
  let ending = false
  const keep = async (): Promise<void> => {
    while (!ending) {
      const child = startOne(stack, file)
      children.add(child)
      await once(child, 'exit')
      children.delete(child)
      if (!ending) await delay(20)
    }
  }
  const kept = Array.from({ length: count }, keep)
  await eventually(
    `${count} more orchestrators answer`,
    async () => (await stack.bus.ping('orchestrator')).length > count,
    30_000,
  )
  return {
    pids: () => [...children].flatMap(({ pid }) => pid ?? []),
    [Symbol.asyncDispose]: async () => {
      ending = true
      for (const child of children) child.kill('SIGTERM')
      const killer = setTimeout(() => [...children].map((child) => child.kill('SIGKILL')), 20_000)
      await Promise.all(kept)
      clearTimeout(killer)
      await file.close()
    },
  }
}
