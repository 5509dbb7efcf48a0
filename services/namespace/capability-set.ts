import { capabilityNames } from '../../shared/capabilities.ts'
import { Failure } from '../../shared/failure.ts'

/** The kernel's bit mask, in hexadecimal, of capabilities as `CAP_CHOWN`. Throws `Failure` (`invalid_message`). */
export const capabilityMask = (names: readonly string[]): string => {
  const bits = names.map((name) => {
    const bit = capabilityNames.indexOf(name.replace(/^CAP_/, ''))
    if (bit === -1) throw new Failure('invalid_message', `cannot grant ${name}: there is no such capability`)
    return 1n << BigInt(bit)
  })
  return `0x${bits.reduce((mask, bit) => mask | bit, 0n).toString(16)}`
}
