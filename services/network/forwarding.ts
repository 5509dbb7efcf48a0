import { readFile } from 'node:fs/promises'
import type { Recorder } from '../../shared/recorder.ts'
import { rememberedForwarding } from './bridge.ts'
import { interfaces } from './interfaces.ts'

const file = '/proc/sys/net/ipv4/ip_forward'

const otherBridges = (own: string): string[] =>
  interfaces.list().filter((name) => name !== own && interfaces.isBridge(name))

/**
 * What the switch was before any stack of this host turned it on: a second stack finds it on already,
 * so it takes over what the first one's bridge remembers. That memory lives as long as the switch can
 * matter: it ends with the bridge and with the host's uptime.
 */
export const forwardingBefore = async (own: string): Promise<string> => {
  const remembered = [own, ...otherBridges(own)]
    .map(rememberedForwarding)
    .find((value) => value !== undefined)
  return remembered ?? (await readFile(file, 'utf8')).trim()
}

/** Lets the host route between its interfaces; what it was is on the bridge already. */
export const switchForwardingOn = async (record: Recorder): Promise<void> => {
  if ((await readFile(file, 'utf8')).trim() !== '1') await record.write(file, '1')
}

/**
 * Switches forwarding back off if Dolly switched it on and no bridge is left on the host: another stack, or
 * Docker when started later, relies on it without having switched it itself. True when it was switched.
 */
export const restoreForwarding = async (record: Recorder, before: string | undefined): Promise<boolean> => {
  if (before !== '0' || otherBridges('').length > 0) return false
  await record.write(file, '0')
  return true
}
