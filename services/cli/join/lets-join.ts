import { type Config, busAccess } from '../../../shared/config.ts'
import { loopback } from '../stack/nats-port.ts'
import { readFleet } from './fleet.ts'

/** Whether a host could join this one's bus, which is at the address, or has joined it. Throws `Failure`. */
export const letsJoin = async (config: Config, url = busAccess(config, 'operator').url): Promise<boolean> => {
  if (config.joined) return false
  if (new URL(url).hostname !== loopback) return true
  return Object.keys((await readFleet(config)).nodes).length > 0
}
