import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, openSync } from 'node:fs'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Failure, reasonOf } from '../../shared/failure.ts'

/** The static C program that enacts plans, made by `make -C services/namespace/native`. */
export const nativeProgram = fileURLToPath(new URL('native/dolly-init', import.meta.url))

const assertBuilt = (): void => {
  try {
    accessSync(nativeProgram, constants.X_OK)
  } catch (error) {
    throw new Failure('host_unfit', `cannot run ${nativeProgram}: ${reasonOf(error)}; run "make setup"`, {
      cause: error,
    })
  }
}

const sealed = async (holder: ChildProcess): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  holder.once('error', reject)
  holder.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)))
  holder.stdout?.once('data', () => resolve())
  await promise
}

/**
 * Opens a sealed copy of the native program in memory. Monitors run that copy: a process in a container
 * that reaches it through `/proc/<pid>/exe` cannot write to it (CVE-2019-5736), and no launch pays for
 * the copying. Node cannot make a memfd, so the program makes one of itself and holds it until it is
 * opened here.
 */
export const openSealedProgram = async (): Promise<number> => {
  assertBuilt()
  const holder = spawn(nativeProgram, ['hold'], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    await sealed(holder)
    return openSync(`/proc/${holder.pid}/exe`, 'r')
  } catch (error) {
    throw new Failure('host_unfit', `cannot seal ${nativeProgram}: ${reasonOf(error)}`, { cause: error })
  } finally {
    if (holder.exitCode === null && holder.pid !== undefined) {
      const ended = once(holder, 'exit')
      holder.stdin?.end()
      await ended
    }
  }
}
