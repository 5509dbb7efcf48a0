import { ask } from '../../services/cli/commands/bus/ask.ts'
import { up } from '../../services/cli/stack/up.ts'
import { loadConfig } from '../../shared/config.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { subjects } from '../../shared/subjects.ts'
import { containerClient } from '../helpers/container-client.ts'
import { eventually } from '../helpers/stack.ts'

/**
 * Runs in the guest: `storm PREFIX` creates and deletes until the power goes, `judge ID…` says what became of
 * accepted commands, `clear ID…` deletes what is left. Every line it writes is for the program that holds the
 * switch.
 */
const [what = '', ...words] = process.argv.slice(2)
const say = (line: string) => void process.stdout.write(`${line}\n`)

const config = loadConfig({ ...process.env, DOLLY_COWFS_SIZE: '1G' })
await up(config, { detach: true })
say('up')
await using client = await containerClient(config)

const deletion = '.delete'
const containersOf = (commands: readonly string[]) => commands.filter((id) => !id.endsWith(deletion))

const outcomeOf = async (command: string): Promise<string> => {
  const { type, data } = await client.outcome(command)
  const count = client.outcomesOf(command).length
  if (count !== 1) return `${count}-outcomes`
  return type === 'container.failed' ? `${type} ${JSON.stringify(data['reason'])}` : type
}

/** The reconciler begins when the stack does; what it has not put right after a while it never will. */
const sayLeaks = async (): Promise<void> => {
  let leaks = await client.leaks()
  const isClean = async () => (leaks = await client.leaks()).length === 0
  await eventually('nothing is leaked', isClean).catch(() => undefined) // then they are told
  for (const { kind, name } of leaks) say(`leak ${kind} ${name}`)
}

/** Of the last few, which the loss is most likely to have met: what was running must still be of use. */
const startAgain = async (ids: readonly string[]): Promise<void> => {
  for (const container of ids) {
    const { status } = await client.get(container)
    if (status === 'stopped')
      await ask(client.bus, verbs.containerStart, { container }, { timeoutMs: 60_000 })
    const { exitCode } = await client.exec(container, ['true'])
    say(`started ${container}: it was ${status}, and ran a command that ended with ${exitCode}`)
  }
}

const judge = async (): Promise<void> => {
  const ran: string[] = []
  for (const command of words) {
    const outcome = await outcomeOf(command)
    say(`outcome ${command} ${outcome}`)
    if (outcome === 'container.running' && !words.includes(`${command}${deletion}`)) ran.push(command)
  }
  await sayLeaks()
  await startAgain(ran.slice(-3))
  say('judged')
}

const mostAtOnce = 20
const createsInStorm = 400

/** The message id of a command is known before: its acknowledgement is what must not be forgotten. */
const storm = async (prefix: string): Promise<void> => {
  let under = 0
  const command = async (subject: string, commandId: string, body: object): Promise<string> => {
    await client.publish(subject, body, commandId)
    say(`accepted ${commandId}`)
    const outcome = await outcomeOf(commandId)
    say(`ended ${commandId}`)
    return outcome
  }
  const live = async (number: number): Promise<void> => {
    const id = `${prefix}-${number}`
    under++
    await command(subjects.create, id, { id, image: 'busybox', command: ['sleep', '100000'] })
    if (number % 3 === 0) await command(subjects.delete, `${id}${deletion}`, { id, force: true })
    under--
  }
  const lives: Promise<void>[] = []
  for (let number = 1; number <= createsInStorm; number++) {
    lives.push(live(number))
    await eventually('there is room for another', () => under < mostAtOnce, 60_000)
  }
  await Promise.all(lives)
  say('the storm is over')
}

const clear = async (): Promise<void> => {
  for (const id of containersOf(words)) await client.tryDelete({ id, force: true })
  await sayLeaks()
}

if (what === 'judge') await judge()
else if (what === 'storm') await storm(words[0] ?? 'storm')
else if (what === 'clear') await clear()
else throw new Error(`cannot "${what}"`)
