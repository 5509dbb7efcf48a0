import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { ExitCode } from '../output/failure.ts'
import { attach } from './attach/attachment.ts'
import { parseDetachKeys } from './attach/detach-keys.ts'
import { ask } from './bus/ask.ts'
import { execExitCode } from './bus/exec-exit-code.ts'
import { type Session, withSession } from './bus/session.ts'
import { environmentOf } from './launch/environment.ts'
import { collect } from './option-values.ts'

interface ExecFlags {
  detach?: boolean
  interactive?: boolean
  tty?: boolean
  env?: string[]
  envFile?: string[]
  workdir?: string
  user?: string
  detachKeys: string
}

const runAttached = async (
  session: Session,
  args: string[],
  container: string,
  flags: ExecFlags,
): Promise<void> => {
  const { interactive = false, tty: terminal = false } = flags
  const detachKeys = parseDetachKeys(flags.detachKeys)
  const { bus } = session
  const { id, node, execId } = await ask(bus, verbs.containerExec, {
    container,
    args,
    env: await environmentOf(flags),
    ...(flags.workdir ? { cwd: flags.workdir } : {}),
    user: flags.user ?? '',
    terminal,
    stdin: interactive,
  })
  if (flags.detach) return void (await ask(bus, verbs.containerExecStart, { container: id, execId }))
  using attachment = await attach(session, { id, node, execId, interactive, terminal, detachKeys })
  await ask(bus, verbs.containerExecStart, { container: id, execId })
  if ((await attachment.ended) === 'detached') return
  const code = await execExitCode(bus, id, execId)
  if (code !== 0) throw new ExitCode(code)
}

const exec = async (container: string, command: string, args: string[], flags: ExecFlags): Promise<void> => {
  if (flags.interactive && flags.tty && !flags.detach && !process.stdin.isTTY) {
    throw new Failure('invalid_message', 'cannot exec with -t: standard input is not a terminal')
  }
  await withSession((session) => runAttached(session, [command, ...args], container, flags))
}

export const configure = (command: Command): void => {
  command
    .passThroughOptions()
    .argument('<container>', 'id or name')
    .argument('<command>', 'program to run')
    .argument('[args...]', 'its arguments')
    .option('-d, --detach', 'do not wait for it')
    .option('-i, --interactive', 'keep standard input open')
    .option('-t, --tty', 'give it a terminal')
    .option('-e, --env <key=value>', 'set a variable', collect)
    .option('--env-file <file>', 'read variables from a file', collect)
    .option('-w, --workdir <directory>', 'working directory')
    .option('-u, --user <user>', 'user or uid, with :group or :gid')
    .option('--detach-keys <keys>', 'keys that leave it running', 'ctrl-p,ctrl-q')
    .action(exec)
}
