import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, reasonOf } from '../../shared/failure.ts'
import type { Recorder } from '../../shared/recorder.ts'

/**
 * Device nodes that a container may open: null, zero, full, random, urandom, tty, console, ptmx and
 * terminals. It may make any node, as with Docker, but open no other.
 */
export const defaultDeviceRules = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
] as const

const isRestricted = (directory: string): boolean => {
  const shown = readFileSync(join(directory, 'devices.list'), 'utf8').trim().split('\n')
  return (
    shown.length === defaultDeviceRules.length && defaultDeviceRules.every((rule) => shown.includes(rule))
  )
}

/** The kernel takes one rule a write. */
const writeRules = (directory: string): void => {
  writeFileSync(join(directory, 'devices.deny'), 'a')
  for (const rule of defaultDeviceRules) writeFileSync(join(directory, 'devices.allow'), rule)
  if (!isRestricted(directory)) throw new Error('the kernel shows other rules afterwards')
}

/**
 * Denies every device and then allows the default ones, in one entry of the record; does nothing
 * where that is so already, since a running container must not lose its devices for a moment.
 * For v1: on v2 `filterDevices` does it.
 */
export const restrictDevices = async (record: Recorder, directory: string): Promise<void> => {
  if (isRestricted(directory)) return
  const [deny, allow] = [join(directory, 'devices.deny'), join(directory, 'devices.allow')]
  const rules = defaultDeviceRules.map((rule) => `'${rule}'`).join(' ')
  await record.call(`echo a > ${deny}; for rule in ${rules}; do echo "$rule" > ${allow}; done`, () => {
    try {
      writeRules(directory)
    } catch (error) {
      throw new Failure('limit_refused', `cannot restrict devices in ${directory}: ${reasonOf(error)}`, {
        cause: error,
      })
    }
  })
}
