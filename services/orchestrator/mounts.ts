import { posix } from 'node:path'
import type { ContainerCreate } from '../../shared/contracts/container-create.ts'
import { type ComposeVolume, type Mount, VolumeName } from '../../shared/contracts/mount.ts'
import { quantity } from '../../shared/contracts/quantity.ts'
import { Failure } from '../../shared/failure.ts'

/** What the plan makes itself: a mount over it would take the container's restrictions away, or be lost. */
const kept = ['/proc', '/sys', '/dev']

const refused = (entry: ComposeVolume, reason: string): Failure => {
  const text = typeof entry === 'string' ? entry : entry.target
  return new Failure('invalid_message', `volumes: cannot mount "${text}": ${reason}`)
}

const destinationOf = (entry: ComposeVolume, path: string): string => {
  const clean = posix.normalize(path).replace(/\/+$/, '')
  if (!path.startsWith('/') || clean === '') throw refused(entry, 'give an absolute path that is not "/"')
  const under = kept.find((top) => clean === top || clean.startsWith(`${top}/`))
  if (under) throw refused(entry, `${under} is the container's own`)
  return clean
}

/** Compose's `SOURCE:TARGET[:MODE]`. */
const fromShort = (entry: string): Mount => {
  const [source = '', target, mode = '', ...more] = entry.split(':')
  if (target === undefined)
    throw new Failure(
      'unsupported',
      `volumes: anonymous volumes are not supported: name it, as "data:${entry}"`,
    )
  if (more.length > 0) throw refused(entry, 'give it as SOURCE:TARGET[:ro]')
  const modes = mode.split(',').filter(Boolean)
  const unknown = modes.find((word) => !['ro', 'rw', 'nocopy'].includes(word))
  if (unknown) throw refused(entry, `unknown option "${unknown}": there are ro, rw and nocopy`)
  const isPath = /^[./~]/.test(source)
  if (isPath && !source.startsWith('/')) throw refused(entry, 'a path of the host is absolute')
  if (!isPath && !VolumeName.safeParse(source).success)
    throw refused(entry, `"${source}" is no name of a volume`)
  const options = modes.filter((word) => word === 'ro' || (word === 'nocopy' && !isPath)) as Mount['options']
  return { type: isPath ? 'bind' : 'volume', source, destination: destinationOf(entry, target), options }
}

type Long = Exclude<ComposeVolume, string>

const fromLong = (entry: Exclude<Long, { type: 'tmpfs' }>): Mount => ({
  type: entry.type,
  source: entry.source,
  destination: destinationOf(entry, entry.target),
  options: [
    ...(entry.read_only ? (['ro'] as const) : []),
    ...(entry.type === 'volume' && entry.volume?.nocopy ? (['nocopy'] as const) : []),
  ],
})

const tmpfsEntry = (entry: Extract<Long, { type: 'tmpfs' }>): string => {
  const { size, mode } = entry.tmpfs ?? {}
  const options = [
    ...(entry.read_only ? ['ro'] : []),
    ...(size === undefined ? [] : [`size=${quantity(size)}`]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
  ]
  return [destinationOf(entry, entry.target), options.join(',')].filter(Boolean).join(':')
}

const depth = (path: string): number => path.split('/').length

/**
 * The mounts and the `tmpfs` entries of Compose's `volumes`, outer ones first. Throws `Failure`
 * (`invalid_message`, `unsupported`).
 */
export const mountsOf = (volumes: ContainerCreate['volumes'] = []): { mounts: Mount[]; tmpfs: string[] } => {
  const mounts = volumes.flatMap((entry) =>
    typeof entry === 'string' ? [fromShort(entry)] : entry.type === 'tmpfs' ? [] : [fromLong(entry)],
  )
  const tmpfs = volumes.flatMap((entry) =>
    typeof entry !== 'string' && entry.type === 'tmpfs' ? [tmpfsEntry(entry)] : [],
  )
  const places = mounts.map(({ destination }) => destination)
  const twice = places.find((place, index) => places.indexOf(place) !== index)
  if (twice) throw new Failure('invalid_message', `volumes: ${twice} stands twice`)
  return { mounts: mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination)), tmpfs }
}
