import { readFile, readdir } from 'node:fs/promises'
import type { Config } from '../../shared/config.ts'
import { readStackInfo } from '../../services/cli/stack/stack-files.ts'

const ticksPerSecond = 100
const mebi = 2 ** 20

/** A process that ended meanwhile has nothing. */
const readOf = (pid: number, file: string): Promise<string> =>
  readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')

/** What stands behind the command's name, which may itself hold spaces and brackets, in proc_pid_stat(5). */
const statOf = async (pid: number): Promise<string[]> =>
  (await readOf(pid, 'stat')).replace(/^.*\) /s, '').split(' ')

/** A container's monitor, a child of the one that is kept loaded for it; what it takes is the container's. */
const isMonitor = async (pid: number): Promise<boolean> =>
  (await readOf(pid, 'cmdline')).includes('\0--bundle\0')

/** The processes of a stack with all they have started, but for containers and their monitors. */
const pidsOf = async (config: Config): Promise<number[]> => {
  const info = await readStackInfo(config)
  const pids = new Set(Object.values(info?.pids ?? {}))
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(all.map(async (pid) => [pid, Number((await statOf(pid))[1])] as const))
  const monitors = new Set<number>()
  for (let before = -1; before !== pids.size;) {
    before = pids.size
    for (const [pid, parent] of parents) {
      if (!pids.has(parent) || pids.has(pid) || monitors.has(pid)) continue
      ;((await isMonitor(pid)) ? monitors : pids).add(pid)
    }
  }
  return [...pids]
}

/** Seconds of a processor that the stack's processes have used, children that ended included. */
export const cpuSeconds = async (config: Config): Promise<number> => {
  let ticks = 0
  for (const pid of await pidsOf(config))
    for (const field of (await statOf(pid)).slice(11, 15)) ticks += Number(field)
  return ticks / ticksPerSecond
}

/** Memory of the stack's processes in MiB, each page shared by several counted in parts (Pss of proc_pid_smaps(5)). */
export const residentMiB = async (config: Config): Promise<number> => {
  let bytes = 0
  for (const pid of await pidsOf(config))
    bytes += Number(/^Pss:\s+(\d+) kB$/m.exec(await readOf(pid, 'smaps_rollup'))?.[1] ?? 0) * 1024
  return bytes / mebi
}

/** What programs could still have of the whole machine's memory, in MiB (MemAvailable of proc_meminfo(5)). */
export const availableMiB = async (): Promise<number> => {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'))
  return Number(line?.[1]) / 1024
}
