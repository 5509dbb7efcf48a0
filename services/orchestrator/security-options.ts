import type { ContainerCreate } from '../../shared/contracts/container-create.ts'
import { type Seccomp, SeccompProfile } from '../../shared/contracts/seccomp.ts'
import { Failure, reasonOf } from '../../shared/failure.ts'

/** What `security_opt` and `privileged` decide. */
export interface SecurityOptions {
  noNewPrivileges: boolean
  seccomp: Seccomp
}

const newPrivileges: Record<string, boolean> = {
  'no-new-privileges': true,
  'no-new-privileges:true': true,
  'no-new-privileges:false': false,
}
const known = [...Object.keys(newPrivileges), 'seccomp=unconfined', 'seccomp=PROFILE']

/** A client reads the file and sends what is in it: the host may be another, and its files are nobody's business. */
const profileOf = (text: string): Seccomp => {
  if (text === 'unconfined') return text
  if (!text.trimStart().startsWith('{')) {
    const hint = 'give "unconfined" or the text of a profile; "dolly run" takes a file and sends its text'
    throw new Failure(
      'invalid_message',
      `security_opt: seccomp="${text.slice(0, 80)}" is no profile: ${hint}`,
    )
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new Failure('invalid_message', `security_opt: the seccomp profile is no JSON: ${reasonOf(error)}`)
  }
  const profile = SeccompProfile.safeParse(parsed)
  if (profile.success) return profile.data
  const [{ path, message } = { path: [], message: '' }] = profile.error.issues
  throw new Failure('invalid_message', `security_opt: the seccomp profile's ${path.join('.')}: ${message}`)
}

/** Throws `Failure` (`invalid_message`, `unsupported`) for an option that is unknown or has no sense. */
export const securityOptions = ({
  security_opt = [],
  privileged = false,
}: Pick<ContainerCreate, 'privileged' | 'security_opt'>): SecurityOptions => {
  const options: SecurityOptions = { noNewPrivileges: true, seccomp: privileged ? 'unconfined' : 'default' }
  for (const option of security_opt) {
    const choice = newPrivileges[option]
    const profile = /^seccomp[=:]([^]*)$/.exec(option)?.[1]
    if (choice !== undefined) options.noNewPrivileges = choice
    else if (profile !== undefined) options.seccomp = profileOf(profile)
    else throw new Failure('unsupported', `security_opt: "${option}" is not one of ${known.join(', ')}`)
  }
  return options
}
