import { arch, release } from 'node:os'
import { type SeccompProfile, seccompActions, seccompOperators } from '../../../shared/contracts/seccomp.ts'
import { Failure } from '../../../shared/failure.ts'

/** Node's name of the machine, Go's, and libseccomp's. */
const machines: Record<string, { go: string; native: string }> = {
  x64: { go: 'amd64', native: 'SCMP_ARCH_X86_64' },
  arm64: { go: 'arm64', native: 'SCMP_ARCH_AARCH64' },
  ppc64: { go: 'ppc64le', native: 'SCMP_ARCH_PPC64LE' },
  s390x: { go: 's390x', native: 'SCMP_ARCH_S390X' },
  riscv64: { go: 'riscv64', native: 'SCMP_ARCH_RISCV64' },
}

type Rule = NonNullable<SeccompProfile['syscalls']>[number]
type Condition = NonNullable<Rule['includes']>

/** What the profile's conditions ask of the host and of the container. */
export interface Circumstances {
  capabilities: readonly string[]
  go: string
  native: string
  /** As `6.1.0-18-amd64`. */
  kernel: string
}

/** This host and a container with these capabilities. Throws `Failure` (`unsupported`) on a machine that no profile knows. */
export const circumstancesOf = (capabilities: readonly string[]): Circumstances => {
  const machine = machines[arch()]
  if (!machine) throw new Failure('unsupported', `cannot filter system calls on ${arch()}: unknown machine`)
  return { capabilities, ...machine, kernel: release() }
}

const isAtLeast = (kernel: string, least: string): boolean => {
  const [[major = 0, minor = 0] = [], [leastMajor = 0, leastMinor = 0] = []] = [kernel, least].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10)),
  )
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}

const listed = (names: readonly string[] | null | undefined): readonly string[] => names ?? []

/** As in Podman: every kind of inclusion that is given must hold, any exclusion is enough. */
const applies = ({ includes, excludes }: Rule, { capabilities, go, kernel }: Circumstances): boolean => {
  const holds = ({ caps, arches, minKernel }: Condition) => [
    ...(listed(caps).length > 0 ? [listed(caps).every((name) => capabilities.includes(name))] : []),
    ...(listed(arches).length > 0 ? [listed(arches).includes(go)] : []),
    ...(minKernel ? [isAtLeast(kernel, minKernel)] : []),
  ]
  return holds(includes ?? {}).every(Boolean) && !holds(excludes ?? {}).some(Boolean)
}

const architecturesOf = ({ archMap, architectures }: SeccompProfile, native: string): string[] => {
  const mapped = listed(archMap?.find(({ architecture }) => architecture === native)?.subArchitectures)
  return [...new Set([native, ...mapped, ...listed(architectures)])].map((name) =>
    name.replace('SCMP_ARCH_', '').toLowerCase(),
  )
}

const EPERM = 1

const actionOf = (name: keyof typeof seccompActions, errno: number | null | undefined): number =>
  seccompActions[name] + (name === 'SCMP_ACT_ERRNO' || name === 'SCMP_ACT_TRACE' ? (errno ?? EPERM) : 0)

/** What a rule without conditions says of socketcall(2): libseccomp makes rules of its own for it, see the compiler. */
const socketcallLines = ({ names, action, errnoRet, args }: Rule): string[] =>
  names.includes('socketcall') && action !== 'SCMP_ACT_ALLOW' && !args?.length
    ? [`socketcall ${actionOf(action, errnoRet)}`]
    : []

const ruleLines = ({ names, action, errnoRet, args }: Rule, fallback: number): string[] => {
  const number = actionOf(action, errnoRet)
  // libseccomp refuses rules that change nothing.
  if (number === fallback) return []
  const conditions = (args ?? []).map(({ index, value, valueTwo, op }) =>
    // A mask comes first, then what is left of the argument.
    [index, seccompOperators[op], value, valueTwo ?? 0].join(' '),
  )
  return names.map((name) => ['rule', number, name, ...conditions].join(' '))
}

/** The profile as the compiler reads it, without conditions: the same text is the same filter. */
export const rulesOf = (profile: SeccompProfile, circumstances: Circumstances): string => {
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet)
  const rules = (profile.syscalls ?? []).filter((rule) => applies(rule, circumstances))
  return [
    `default ${fallback}`,
    ...architecturesOf(profile, circumstances.native).map((name) => `arch ${name}`),
    ...rules.flatMap(socketcallLines),
    ...rules.flatMap((rule) => ruleLines(rule, fallback)),
    '',
  ].join('\n')
}
