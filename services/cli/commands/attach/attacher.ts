import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure, errnoOf } from '../../../../shared/failure.ts'

const program = join(import.meta.dirname, '../../../namespace/native/dolly-init')
const connectMs = 5000
/** SS_CONNECTED in the state column of /proc/net/unix. */
const connectedState = '03'

/** `held` gives the container nothing to read and does not tell it so: only the end of input closes its own. */
export type AttacherInput = 'held' | 'inherit' | 'pipe'

const socketInodes = async (pid: number): Promise<string[]> => {
  try {
    const descriptors = (await readdir(`/proc/${pid}/fd`)).filter((descriptor) => Number(descriptor) > 2)
    const links = await Promise.all(
      descriptors.map((descriptor) => readlink(`/proc/${pid}/fd/${descriptor}`)),
    )
    return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return []
    throw error
  }
}

const isConnected = async (pid: number): Promise<boolean> => {
  const inodes = await socketInodes(pid)
  if (inodes.length === 0) return false
  const lines = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.split(/\s+/))
  return lines.some(([, , , , , state, inode = '']) => state === connectedState && inodes.includes(inode))
}

/** Resolves when the attacher is connected or has ended: a process started before would write to nobody. */
const connected = async (child: ChildProcess): Promise<void> => {
  for (const giveUp = Date.now() + connectMs; child.exitCode === null;) {
    if (child.pid !== undefined && (await isConnected(child.pid))) return
    if (Date.now() > giveUp)
      throw new Failure('timeout', 'cannot attach: the monitor does not accept the connection')
    await delay(1)
  }
}

/**
 * Starts the relay to a monitor's attach socket (Node cannot open SOCK_SEQPACKET) and resolves when it is
 * connected. In a session of its own, Ctrl-C does not end it with the container's last words still in it.
 */
export const spawnAttacher = async (socket: string, input: AttacherInput): Promise<ChildProcess> => {
  const stdin = input === 'inherit' ? 'inherit' : 'pipe'
  const child = spawn(program, ['attach', socket], { stdio: [stdin, 'pipe', 'pipe'], detached: true })
  await once(child, 'spawn')
  await connected(child)
  return child
}
