import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MachineOptions, startMachine } from './machine.ts'
import { writeProjectDisk } from './project-disk.ts'
import type { RootImage } from './root-image.ts'

/** How much slower than its host a guest on an emulated processor is taken to be. */
const timeFactor = 30
/** A crash matrix has up to 55 points, each of which takes a guest a quarter of a minute. */
const matrixSample = process.env['DOLLY_MATRIX_SAMPLE'] || '7'

const script = (command: string): string => `
cd /dolly
export PATH="$PWD/node_modules/.bin:$PATH" DOLLY_TIME_FACTOR=${timeFactor} DOLLY_MATRIX_SAMPLE=${matrixSample}
export NODE_COMPILE_CACHE="$PWD/.cache/node" NODE_COMPILE_CACHE_PORTABLE=1
${command}
echo "guest exit $?"
sync
`

export interface GuestTask {
  image: RootImage
  /** Shell lines; the status of the last is the answer. */
  command: string
  /** Test files that are compiled for the guest beforehand. */
  testFiles?: readonly string[]
  disk?: string
  limitMs: number
  onOutput: (text: string) => void
  /** Takes the power away and ends the task. */
  signal?: AbortSignal
  /** Called with the machine once it has its power. */
  onStart?: (machine: ReturnType<typeof startMachine>) => void
}

/**
 * Boots a machine for one task and answers the task's exit status; undefined when the machine went off
 * before the task had ended.
 */
export const runInGuest = async ({
  image,
  command,
  testFiles = [],
  disk,
  limitMs,
  onOutput,
  onStart,
  signal,
}: GuestTask): Promise<number | undefined> => {
  const directory = await mkdtemp(join(tmpdir(), 'dolly-vm-'))
  try {
    const project = join(directory, 'project.tar')
    await writeProjectDisk(project, { task: script(command), testFiles, directory })
    signal?.throwIfAborted()
    let said = ''
    const options: MachineOptions = {
      image,
      project,
      ...(disk ? { disk } : {}),
      consoleLog: join(directory, 'console.log'),
      limitMs,
      onOutput: (text) => {
        said = (said + text).slice(-200)
        onOutput(text)
      },
    }
    await using machine = startMachine(options)
    onStart?.(machine)
    signal?.addEventListener('abort', machine.powerOff, { once: true })
    await machine.ended
    signal?.throwIfAborted()
    const status = /^guest exit (\d+)$/m.exec(said.replaceAll('\r', ''))?.[1]
    if (status !== undefined) return Number(status)
    // Why it went off by itself stands there.
    if (!machine.isCut())
      process.stderr.write(`${(await readFile(options.consoleLog, 'utf8')).slice(-2000)}\n`)
    return undefined
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
