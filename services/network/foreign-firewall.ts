import type { Config } from '../../shared/config.ts'
import { Failure } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'

const chainOf = (record: Recorder, chain: string): Promise<string> =>
  // Exit code 1: no such chain.
  record.run('nft', ['list', 'chain', 'ip', 'filter', chain], { allow: [1] })

/** Both rules in one transaction: either of the two present means that both are. */
const change = async (record: Recorder, bridge: string, verb: '--insert' | '--delete'): Promise<void> => {
  const rules = [
    `--in-interface ${bridge}+ --jump ACCEPT`,
    `--out-interface ${bridge}+ --match conntrack --ctstate RELATED,ESTABLISHED --jump ACCEPT`,
  ]
  const input = ['*filter', ...rules.map((rule) => `${verb} DOCKER-USER ${rule}`), 'COMMIT', ''].join('\n')
  await record.run('iptables-restore', ['--noflush', '--wait'], { input })
}

/**
 * Docker drops what the host forwards unless a rule of its own table accepts it, and no other table can
 * overrule a drop. Its DOCKER-USER chain is where it wants such rules. Answers what stays in the way, or undefined.
 */
export const admitThroughDocker = async (
  record: Recorder,
  { names: { bridge } }: Config,
): Promise<string | undefined> => {
  if (!(await chainOf(record, 'FORWARD')).includes('policy drop')) return undefined
  const user = await chainOf(record, 'DOCKER-USER')
  if (user === '')
    return `the chain FORWARD of the table "ip filter" drops what it does not know: accept ${bridge} there`
  if (user.includes(`"${bridge}*"`)) return undefined
  try {
    await change(record, bridge, '--insert')
    return undefined
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return `Docker drops what it does not know, and its chain DOCKER-USER cannot be changed: ${error.message}; install the package iptables`
  }
}

/** Takes the stack's rules out of Docker's chain; absent is success. */
export const withdrawFromDocker = async (record: Recorder, { names: { bridge } }: Config): Promise<void> => {
  if ((await chainOf(record, 'DOCKER-USER')).includes(`"${bridge}*"`))
    await change(record, bridge, '--delete')
}
