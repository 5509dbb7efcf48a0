import { cpus, loadavg, release, totalmem } from 'node:os'

/** The machine and what else it did, without which no number means anything. */
export const describeMachine = () => ({
  processors: cpus().length,
  model: cpus()[0]?.model.trim() ?? 'unknown',
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  load: loadavg().map((value) => Math.round(value * 100) / 100),
})

export type Machine = ReturnType<typeof describeMachine>
