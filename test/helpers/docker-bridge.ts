import { createServer } from 'node:net'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { errnoOf } from '../../shared/failure.ts'
import { run } from '../../shared/recorder.ts'
import { eventually } from './stack.ts'

/** Whether the host has a docker0 of its own now. */
export const hasDockerBridge = (): boolean => existsSync('/sys/class/net/docker0')

/**
 * Keeps docker0, of which a host has one, for this test file until its process ends: a lab network goes
 * to whichever bridge is there. The lock is an abstract socket, which the kernel takes back from the dead.
 */
export const lockDockerBridge = async (): Promise<void> => {
  const isLocked = async (): Promise<boolean> => {
    const lock = createServer().listen('\0dolly-test-docker0')
    lock.unref()
    try {
      await once(lock, 'listening')
      return true
    } catch (error) {
      if (errnoOf(error) !== 'EADDRINUSE') throw error
      return false
    }
  }
  await eventually('no other test file uses docker0', isLocked, 120_000)
}

/** A bridge of Docker's name, with the address that Docker gives it; nothing more is Docker's in the lab. */
export const makeDockerBridge = async (): Promise<AsyncDisposable> => {
  await run('ip', ['link', 'add', 'name', 'docker0', 'type', 'bridge'])
  await run('ip', ['address', 'add', '172.17.0.1/16', 'dev', 'docker0'])
  await run('ip', ['link', 'set', 'dev', 'docker0', 'up'])
  return {
    [Symbol.asyncDispose]: async () => void (await run('ip', ['link', 'delete', 'dev', 'docker0'])),
  }
}
