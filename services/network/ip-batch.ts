import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { Failure } from '../../shared/failure.ts'
import { patienceMs } from '../../shared/patience.ts'
import { type Recorder, shellLine, systemPath } from '../../shared/recorder.ts'

const replyTimeoutMs = patienceMs(10_000)

/**
 * No object of `ip`: sent after each command, its error message carries a line number and so marks the
 * end of what `ip` has to say about the command. Standard error is unbuffered, standard output is not.
 */
const endMark = 'end-of-command'

interface Expected {
  line: number
  resolve: (reply: Failure | undefined) => void
}

const reasonIn = (said: string): string =>
  said
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('Command failed') && !line.includes(`"${endMark}"`))
    .join('; ')

/**
 * A running `ip -batch -`, entered through `enter` (`unshare --net`, say): a command takes 0.1 ms instead
 * of a process's 3. It ends when its standard input does, so with this program at the latest.
 */
export const startIpBatch = (enter: readonly string[] = []) => {
  const [file = 'ip', ...args] = [...enter, 'ip', '-force', '-batch', '-']
  const child = spawn(file, args, {
    stdio: ['pipe', 'ignore', 'pipe'],
    // A session of its own: the terminal's Ctrl-C is for the service, which still needs it while it drains.
    detached: true,
    env: { PATH: systemPath, LC_ALL: 'C' },
  })
  const handles = [child, ...[child.stdin, child.stderr].filter((stream) => stream instanceof Socket)]
  const expected: Expected[] = []
  let [line, unread, ended, failed] = [0, '', false, false]

  const settle = (reply: Failure | undefined) => {
    expected.shift()?.resolve(reply)
    // An idle co-process must not keep the program running.
    if (expected.length === 0) for (const handle of handles) handle.unref()
  }
  const abandon = (why: string) => {
    ended = true
    const failure = new Failure('interrupted', `cannot go on with ${shellLine([file, ...args])}: ${why}`)
    while (expected.length > 0) settle(failure)
  }
  const read = (chunk: string) => {
    unread += chunk
    for (let wanted = expected[0]; wanted; wanted = expected[0]) {
      const mark = `Command failed -:${wanted.line + 1}\n`
      const end = unread.indexOf(mark)
      if (end < 0) return
      const said = unread.slice(0, end)
      unread = unread.slice(end + mark.length)
      const refused = said.includes(`Command failed -:${wanted.line}\n`)
      failed ||= refused
      settle(refused ? new Failure('system', reasonIn(said)) : undefined)
    }
  }
  child.stderr.setEncoding('utf8').on('data', read)
  child.stdin.on('error', (error) => abandon(error.message))
  child.on('error', (error) => abandon(error.message))
  child.on('close', (code, signal) =>
    abandon(reasonIn(unread) || `it ended with ${signal ?? `exit ${code}`}`),
  )
  for (const handle of handles) handle.unref()

  /** Resolves with the failure instead of rejecting: of several commands under way only the first failure is thrown. */
  const send = (command: string): Promise<Failure | undefined> => {
    if (ended)
      return Promise.resolve(
        new Failure('interrupted', `cannot run "ip ${command}": the co-process has ended`),
      )
    if (expected.length === 0) for (const handle of handles) handle.ref()
    const { promise, resolve } = Promise.withResolvers<Failure | undefined>()
    const patience = setTimeout(() => {
      child.kill('SIGKILL')
      abandon(`no reply to "ip ${command}" for ${replyTimeoutMs} ms`)
    }, replyTimeoutMs)
    expected.push({ line: line + 1, resolve })
    line += 2
    child.stdin.write(`${command}\n${endMark}\n`)
    return promise.finally(() => clearTimeout(patience))
  }

  return {
    pid: child.pid,
    send,
    /** False once it has ended, or a command failed: ip keeps the number of an interface it failed on, and takes a new one of that name for it. */
    isUsable: () => !ended && !failed,
    /** Runs the commands in order, each with its own entry in the record, and throws the first one's failure. */
    run: async (record: Recorder, commands: readonly string[], as = 'ip'): Promise<void> => {
      const replies = commands.map((command) => ({ command, reply: send(command) }))
      for (const { command, reply } of replies) {
        await record.call(`${as} ${command}`, async () => {
          const failure = await reply
          if (failure)
            throw new Failure(failure.code, `${as} ${command}: ${failure.message}`, { cause: failure })
        })
      }
    },
    /** Lets it end after the commands it has. */
    end: () => child.stdin.end(),
  }
}

export type IpBatch = ReturnType<typeof startIpBatch>

/** A co-process that is started when first used and anew after it died or failed a command. */
export const createIpCoprocess = () => {
  let batch: IpBatch | undefined
  const current = (): IpBatch => {
    if (batch?.isUsable()) return batch
    batch?.end()
    return (batch = startIpBatch())
  }
  return {
    run: (record: Recorder, commands: readonly string[]) => current().run(record, commands),
    end: () => {
      batch?.end()
      batch = undefined
    },
  }
}

export type IpCoprocess = ReturnType<typeof createIpCoprocess>
