import { up } from '../../services/cli/stack/up.ts'
import { loadConfig } from '../../shared/config.ts'
import { subjects } from '../../shared/subjects.ts'
import { containerClient } from '../helpers/container-client.ts'

/**
 * Runs in the guest: `judge ID…` says what became of accepted creates, `storm PREFIX` creates until the
 * power goes, `clear ID…` deletes them all. Every line it writes is for the program that holds the switch.
 */
const [what = '', ...words] = process.argv.slice(2)
const say = (line: string) => void process.stdout.write(`${line}\n`)

const config = loadConfig({ ...process.env, DOLLY_COWFS_SIZE: '1G' })
await up(config, { detach: true })
say('up')
await using client = await containerClient(config)

const outcomeOf = async (id: string): Promise<string> => {
  const { type } = await client.outcome(id)
  const count = client.outcomesOf(id).length
  return count === 1 ? type : `${count} outcomes`
}

const judge = async (): Promise<void> => {
  for (const id of words) say(`outcome ${id} ${await outcomeOf(id)}`)
  for (const { kind, name } of await client.leaks()) say(`leak ${kind} ${name}`)
  say('judged')
}

const createsInStorm = 40

/** The message id is the container's: the acknowledgement is what must not be forgotten. */
const storm = async (prefix: string): Promise<void> => {
  for (let number = 1; number <= createsInStorm; number++) {
    const id = `${prefix}-${number}`
    const body = { id, image: 'busybox', command: ['sleep', '100000'] }
    await client.publish(subjects.create, body, id)
    say(`accepted ${id}`)
  }
  await client.outcome(`${prefix}-${createsInStorm}`)
  say('the storm is over')
}

const clear = async (): Promise<void> => {
  for (const id of words) await client.tryDelete({ id, force: true })
  await judge()
}

if (what === 'judge') await judge()
else if (what === 'storm') await storm(words[0] ?? 'storm')
else if (what === 'clear') await clear()
else throw new Error(`cannot "${what}"`)
