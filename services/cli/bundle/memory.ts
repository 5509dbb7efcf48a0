/** What people and scripts wait for most often. */
const usual = new Set(['create', 'exec', 'logs', 'ps', 'rm', 'run'])

/** What is not the same in the next process: a module that read it when it is loaded would keep it for ever. */
const passing: readonly (readonly [object, string])[] = [
  [process, 'env'],
  [process, 'argv'],
  [process, 'cwd'],
  [process, 'pid'],
  [Math, 'random'],
  [Date, 'now'],
]

/** Answers what allows it again. */
const forbid = (owner: object, name: string): (() => void) => {
  const own = Object.getOwnPropertyDescriptor(owner, name)
  if (!own) throw new Error(`there is no ${name}`)
  const get = () => {
    throw new Error(`${name} is read by a module that a snapshot of the command line would keep it in`)
  }
  Object.defineProperty(owner, name, { get, configurable: true })
  return () => void Object.defineProperty(owner, name, own)
}

/** Runs what most commands begin with, so that the snapshot has its byte code too. */
const rehearse = async (): Promise<void> => {
  const { Command } = await import('commander')
  const { catalogue } = await import('../commands/catalogue.ts')
  const { ContainerCreate } = await import('../../../shared/contracts/container-create.ts')
  const { CloudEvent } = await import('../../../shared/contracts/event.ts')
  const program = new Command().enablePositionalOptions()
  for (const { name, load } of catalogue) if (usual.has(name)) (await load()).configure(program.command(name))
  program.commands.find((command) => command.name() === 'run')?.parseOptions(['--rm', 'busybox', 'true'])
  ContainerCreate.safeParse({ image: 'busybox', command: ['true'] })
  CloudEvent.safeParse({})
}

/** Loads what most commands need, for a snapshot of this process. Throws when it would keep what passes. */
export const remember = async (): Promise<void> => {
  // Before any module is loaded: each reads what it keeps when it is.
  const allowAgain = passing.map(([owner, name]) => forbid(owner, name))
  await rehearse()
  await Promise.all([
    import('../commands/command-line.ts'),
    import('../commands/launch/message.ts'),
    import('../commands/launch/launch.ts'),
    import('../commands/launch/foreground.ts'),
    import('../commands/launch/attached-start.ts'),
  ])
  for (const allow of allowAgain) allow()
}
