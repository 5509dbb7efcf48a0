import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { joinHost } from '../join/join-host.ts'
import { printJson, remark } from '../output/print.ts'

const addressOf = (text: string): string => {
  const url = URL.parse(text.includes('://') ? text : `nats://${text}`)
  if (url && /^(nats|tls):$/.test(url.protocol) && url.hostname)
    return `nats://${url.hostname}:${url.port || 4222}`
  throw new Failure(
    'invalid_message',
    `cannot join "${text}": give the address of a bus, as nats://host:4222`,
  )
}

const join = async (
  text: string,
  { token, name, json }: { token: string; name?: string; json?: boolean },
): Promise<void> => {
  const url = addressOf(text)
  try {
    const node = name ?? (process.env['DOLLY_NODE'] || undefined)
    const joined = await joinHost(loadConfig(), { url, token, node })
    if (json) return printJson(joined)
    remark(`joined as node ${joined.node}, with subnet ${joined.subnet}`)
    remark('"dolly up -d", "make deploy" or "dolly system install --now" starts its services')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, `cannot join ${url}: ${reasonOf(error)}`, { cause: error })
  }
}

export const configure = (command: Command): void => {
  command
    .argument('<url>', 'address of the bus, as nats://host:4222')
    .requiredOption('--token <token>', 'as "dolly node token" on the bus\'s host has printed it')
    .option('--name <node>', "what the node is called, unless the token says it; else the host's name")
    .option('--json', 'print JSON')
    .action(join)
}
