import tab from '@bomb.sh/tab/commander'
import type { RootCommand } from '@bomb.sh/tab'
import type { Command } from 'commander'
import { verbs } from '../../../shared/contracts/verbs.ts'
import { Failure } from '../../../shared/failure.ts'
import { ask } from './bus/ask.ts'
import { withSession } from './bus/session.ts'
import { wholeProgram } from './command-line.ts'

const shells = ['bash', 'zsh', 'fish'] as const
const takeContainers = ['start', 'stop', 'kill', 'rm', 'inspect', 'exec', 'logs', 'wait', 'pause', 'unpause']
const takeImages = ['run', 'create', 'image rm']

/** Candidates must come while the finger is still on the key. */
const completionMs = 800

const candidates = async (): Promise<{ containers: string[]; images: string[] }> => {
  try {
    return await withSession(async ({ bus }) => {
      const [{ containers }, { images }] = await Promise.all([
        ask(bus, verbs.containerList, { all: true }, { timeoutMs: completionMs }),
        ask(bus, verbs.imageList, {}, { timeoutMs: completionMs }),
      ])
      return { containers: containers.map(({ name }) => name), images: images.flatMap(({ tags }) => tags) }
    })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { containers: [], images: [] } // a message here would land in the middle of the line being typed
  }
}

const offer = (
  completions: RootCommand,
  names: readonly string[],
  argument: string,
  values: readonly string[],
): void => {
  for (const name of names) {
    completions.commands
      .get(name)
      ?.argument(argument, (complete) => values.forEach((value) => complete(value, '')), true)
  }
}

/** The whole program with the hidden `complete` command that the shells' scripts call. */
export const completingProgram = async (args: readonly string[]): Promise<Command> => {
  const program = await wholeProgram()
  const completions = tab(program, { completionCommandName: 'completion-script' })
  const words = args.slice(args.indexOf('--') + 1)
  if ([...takeContainers, ...takeImages].some((name) => words.join(' ').startsWith(name))) {
    const { containers, images } = await candidates()
    offer(completions, takeContainers, 'container', containers)
    offer(completions, takeImages, 'image', images)
  }
  return program
}

const printScript = async (shell: string): Promise<void> => {
  if (!shells.some((known) => known === shell)) {
    throw new Failure('invalid_message', `cannot complete in "${shell}": give ${shells.join(', ')}`)
  }
  const { script } = await import('@bomb.sh/tab')
  script(shell, 'dolly', 'dolly')
}

export const configure = (command: Command): void => {
  command.argument('<shell>', shells.join(', ')).action(printScript)
}
