import { utimesSync, writeFileSync } from 'node:fs'
import type { Bus } from './bus.ts'
import type { Config } from './config.ts'

const everyMs = 5000

/**
 * Renews the file that `DOLLY_HEALTH_FILE` names every five seconds while this program's loop turns and it has
 * its bus, until the signal: whoever asks how it does looks at the file, and starts no Node for it.
 */
export const renewHealthFile = ({ healthFile }: Config, bus: Bus, signal: AbortSignal): void => {
  if (!healthFile) return
  writeFileSync(healthFile, '')
  const renew = () => {
    if (bus.isAway()) return
    const now = new Date()
    utimesSync(healthFile, now, now)
  }
  const timer = setInterval(renew, everyMs)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}
