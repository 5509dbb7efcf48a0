import { posix } from 'node:path'
import { Failure } from '../../../../shared/failure.ts'

/** A path in a container, absolute and without `.` and `..`, as docker-container-cp(1) reads it. */
export interface ContainerPlace {
  container: string
  path: string
  /** It ended with `/.`: what is in the directory is meant, not the directory. */
  content: boolean
}

/** A path of this host, or `-` for the standard streams. */
export interface LocalPlace {
  local: string
}

const words = 'give one CONTAINER:PATH and one path of this host, or -'

/** Reads `CONTAINER:PATH`; what begins with `.` or `/` or has no colon is of this host. */
export const placeOf = (operand: string): ContainerPlace | LocalPlace => {
  const colon = operand.indexOf(':')
  if (colon === -1 || /^[./]/.test(operand)) return { local: operand }
  const [container, path] = [operand.slice(0, colon), operand.slice(colon + 1)]
  if (container === '' || path === '')
    throw new Failure('invalid_message', `cannot copy "${operand}": ${words}`)
  return {
    container,
    path: posix.resolve('/', path) + (/.\/$/.test(path) ? '/' : ''),
    content: endsInDot(path),
  }
}

/** Whether a path means what is in the directory. */
export const endsInDot = (path: string): boolean => path === '.' || path.endsWith('/.')

/** Which way is meant. Throws `Failure` (`invalid_message`) unless exactly one of the two is in a container. */
export const directionOf = (
  source: string,
  destination: string,
): { from: ContainerPlace; to: string } | { from: string; to: ContainerPlace } => {
  const [from, to] = [placeOf(source), placeOf(destination)]
  if ('container' in from && 'local' in to) return { from, to: to.local }
  if ('local' in from && 'container' in to) return { from: from.local, to }
  const why =
    'container' in from ? 'between two containers nothing is copied' : 'neither of the two is in a container'
  throw new Failure('invalid_message', `cannot copy: ${why}; ${words}`)
}
