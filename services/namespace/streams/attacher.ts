import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure, errnoOf } from '../../../shared/failure.ts'
import { patienceMs } from '../../../shared/patience.ts'
import { readIfThere } from '../bundle.ts'
import { nativeProgram } from '../native-program.ts'

const connectMs = 5000
/** SS_CONNECTED in the state column of /proc/net/unix. */
const connectedState = '03'

/** `held` gives the container nothing to read and does not tell it so: only the end of input closes its own. */
export type AttacherInput = 'held' | 'inherit' | 'pipe'

// Synchronous, as all that is looked at here: each file takes microseconds, the thread pool ten times as long.
const socketInodes = (pid: number): string[] => {
  const descriptors = `/proc/${pid}/fd`
  try {
    return readdirSync(descriptors)
      .filter((descriptor) => Number(descriptor) > 2)
      .flatMap(
        (descriptor) => /^socket:\[(\d+)\]$/.exec(readlinkSync(join(descriptors, descriptor)))?.[1] ?? [],
      )
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return []
    throw error
  }
}

/** The connected sockets of the process, by inode; one that waits to be accepted has none yet. */
const connections = (pid: number): string[] => {
  const inodes = socketInodes(pid)
  if (inodes.length === 0) return []
  const table = readFileSync('/proc/net/unix', 'latin1')
  return inodes.filter((inode) => new RegExp(` ${connectedState} +${inode}(?: |$)`, 'm').test(table))
}

/** The monitor that listens on the socket, as its bundle names it. */
const monitorOf = (socket: string): number | undefined => {
  const written = readIfThere(join(dirname(socket), 'monitor.pid'))?.trim() ?? ''
  return /^\d+$/.test(written) ? Number(written) : undefined
}

/**
 * Resolves when the monitor has accepted the attacher: a process started before would write to nobody. It has a
 * connection then that it did not have `before`; of those it may have lost some, as clients come and go.
 */
const connected = async (
  child: ChildProcess,
  monitor: number | undefined,
  before: readonly string[],
): Promise<void> => {
  const holds = (pid: number | undefined, except: readonly string[] = []) =>
    pid === undefined || connections(pid).some((inode) => !except.includes(inode))
  for (const giveUp = Date.now() + patienceMs(connectMs); child.exitCode === null;) {
    if (holds(child.pid) && holds(monitor, before)) return
    if (Date.now() > giveUp)
      throw new Failure('timeout', 'cannot attach: the monitor does not accept the connection')
    await delay(1)
  }
  throw new Failure('conflict', 'cannot attach: its monitor has ended')
}

/**
 * Starts the relay to a monitor's attach socket (Node cannot open SOCK_SEQPACKET) and resolves when it is
 * connected. In a session of its own, Ctrl-C does not end it with the container's last words still in it.
 * Throws `Failure` when the monitor has ended or does not answer.
 */
export const spawnAttacher = async (socket: string, input: AttacherInput): Promise<ChildProcess> => {
  const stdin = input === 'inherit' ? 'inherit' : 'pipe'
  const monitor = monitorOf(socket)
  const before = monitor === undefined ? [] : connections(monitor)
  const child = spawn(nativeProgram, ['attach', socket], { stdio: [stdin, 'pipe', 'pipe'], detached: true })
  await once(child, 'spawn')
  try {
    await connected(child, monitor, before)
  } catch (error) {
    child.kill()
    throw error
  }
  return child
}
