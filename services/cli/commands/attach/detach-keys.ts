import { Failure } from '../../../../shared/failure.ts'

const controlKeys: Record<string, number> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 }

const keyByte = (key: string): number => {
  const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1]
  if (control !== undefined) return controlKeys[control] ?? control.charCodeAt(0) - 96
  if (key.length === 1) return key.charCodeAt(0)
  throw new Failure(
    'invalid_message',
    `cannot use detach key "${key}": give keys as "ctrl-p,ctrl-q" or "a,b"`,
  )
}

/** The bytes of a key sequence in Docker's notation, as `ctrl-p,ctrl-q`. Throws `Failure` (`invalid_message`). */
export const parseDetachKeys = (text: string): number[] => text.split(',').map(keyByte)

/** Looks for the detach keys in what is typed, across chunks; what cannot be part of them is passed on. */
export const createDetachFilter = (keys: readonly number[]) => {
  let matched = 0
  return (chunk: Uint8Array): { forward: Buffer; detached: boolean } => {
    const forward: number[] = []
    for (const byte of chunk) {
      if (byte === keys[matched]) {
        matched++
        if (matched === keys.length) return { forward: Buffer.from(forward), detached: true }
        continue
      }
      forward.push(...keys.slice(0, matched))
      matched = byte === keys[0] ? 1 : 0
      if (matched === 0) forward.push(byte)
    }
    return { forward: Buffer.from(forward), detached: false }
  }
}
