import { Command, CommanderError } from 'commander'
import { projectVersion } from '../../../shared/version.ts'
import { reportFailure } from '../output/failure.ts'
import { endWithOutput } from '../output/output-errors.ts'
import { type CommandEntry, catalogue } from './catalogue.ts'

/** Podman's and Docker's code for "the launcher itself failed", as a usage error is. */
const usageExitCode = 125

/** Commander's complaint as one line of ours, with where to read on. */
const complaints = (command: string) => ({
  outputError: (text: string, write: (text: string) => void) => {
    const said = text
      .replace(/^error: /, '')
      .trim()
      .replaceAll(/\s*\n\s*/g, ' ')
    write(`dolly: cannot use this command line: ${said} (see "${command} --help")\n`)
  },
})

const emptyProgram = (): Command =>
  new Command('dolly')
    .description('Launches containers, and keeps the exact, undoable record of how each was made.')
    .version(projectVersion(), '-v, --version', 'print the version')
    .helpOption('--help', 'show help')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput(complaints('dolly'))

const register = (program: Command, { name, aliases = [], description }: CommandEntry): Command => {
  const command = program.command(name).description(description).aliases(aliases)
  return command.helpOption('--help', 'show help').configureOutput(complaints(`dolly ${name}`))
}

/** The command tree with every command loaded: for help on all of it and for completion. */
export const wholeProgram = async (): Promise<Command> => {
  const program = emptyProgram()
  for (const entry of catalogue) (await entry.load()).configure(register(program, entry))
  return program
}

/** Loads only the command that is called: the others' imports would cost more than most commands take. */
const programFor = async (args: readonly string[]): Promise<Command> => {
  const words = args.filter((argument) => !argument.startsWith('-'))
  const word = words[0] === 'help' ? words[1] : words[0]
  if (word === 'complete') return (await import('./completion.ts')).completingProgram(args)
  const program = emptyProgram()
  for (const entry of catalogue) {
    const called = word === entry.name || entry.aliases?.includes(word ?? '')
    const command = register(program, entry)
    if (called) (await entry.load()).configure(command)
  }
  return program
}

/** The called command by its own names, with the word below it where it has such: `saga retry`. */
const actionOf = (program: Command, args: readonly string[]): string => {
  const words = args.filter((argument) => !argument.startsWith('-'))
  const find = ({ commands }: Command, word = '') =>
    commands.find((command) => command.name() === word || command.aliases().includes(word))
  const command = find(program, words[0])
  const below = command && find(command, words[1])
  const names = [command?.name() ?? words[0], below?.name()]
  return names.filter(Boolean).join(' ')
}

/** Runs one command line and sets the process's exit code; every failure is one line on standard error. */
export const runCommandLine = async (args: string[]): Promise<void> => {
  endWithOutput()
  let program: Command | undefined
  try {
    program = await programFor(args)
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : usageExitCode
      return
    }
    process.exitCode = reportFailure(program ? actionOf(program, args) : 'start', error)
  }
}
