import { resolve } from 'node:path'
import { Failure } from '../../../../shared/failure.ts'
import type { ComposeVolume } from '../../../../shared/contracts/mount.ts'

/** As Docker's client: a path is the caller's, from where the command was given. */
const volumeFlag = (value: string): string => {
  const [source = '', ...rest] = value.split(':')
  return /^\.{1,2}(\/|$)/.test(source) && rest.length > 0 ? [resolve(source), ...rest].join(':') : value
}

const aliases: Record<string, string> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'read_only',
  readonly: 'read_only',
}

/** `--mount type=volume,source=data,target=/data,readonly` in Compose's long syntax; the message's schema checks it. */
const mountFlag = (value: string): ComposeVolume => {
  const mount: Record<string, unknown> = { type: 'volume' }
  for (const field of value.split(',')) {
    const [given = '', text] = field.split(/=(.*)/s)
    const key = aliases[given] ?? given
    if (key === 'read_only') mount[key] = text !== 'false'
    else if (key === 'volume-nocopy') mount['volume'] = { nocopy: text !== 'false' }
    else if (key === 'tmpfs-size') mount['tmpfs'] = { ...(mount['tmpfs'] as object), size: text }
    else if (key === 'tmpfs-mode')
      mount['tmpfs'] = { ...(mount['tmpfs'] as object), mode: Number.parseInt(text ?? '', 8) }
    else if (text === undefined)
      throw new Failure(
        'invalid_message',
        `cannot use --mount "${value}": "${field}" is not of the form key=value`,
      )
    else mount[key] = text
  }
  return mount as ComposeVolume
}

/** Compose's `volumes` of the flags, or undefined without any. Throws `Failure` (`invalid_message`). */
export const volumesOf = (
  volumes: readonly string[] = [],
  mounts: readonly string[] = [],
): ComposeVolume[] | undefined => {
  const all = [...volumes.map(volumeFlag), ...mounts.map(mountFlag)]
  return all.length > 0 ? all : undefined
}
