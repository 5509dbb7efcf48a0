import { capabilityNames, defaultCapabilities, ociCapabilities } from '../../shared/capabilities.ts'
import { Failure } from '../../shared/failure.ts'

const normalized = (key: string, names: readonly string[]): string[] =>
  names.flatMap((name) => {
    const bare = name.toUpperCase().replace(/^CAP_/, '')
    if (bare === 'ALL') return capabilityNames
    if (!capabilityNames.includes(bare))
      throw new Failure('invalid_message', `${key}: "${name}" is no capability; see capabilities(7)`)
    return [bare]
  })

/** The capability set after `cap_add` and `cap_drop`, as `CAP_CHOWN`; a dropped ALL leaves what was added. */
export const capabilitySet = (add: readonly string[], drop: readonly string[]): string[] => {
  const dropped = new Set(normalized('cap_drop', drop))
  const added = normalized('cap_add', add)
  const all = drop.some((name) => /^(CAP_)?ALL$/i.test(name))
  const kept = [
    ...defaultCapabilities.filter((name) => !dropped.has(name)),
    ...added.filter((name) => all || !dropped.has(name)),
  ]
  return ociCapabilities(kept)
}
