import { z } from 'zod'

/** Actions by the kernel's numbers, seccomp(2); the low 16 bits of some are an errno or a tracer's message. */
export const seccompActions = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
} as const

/** Comparisons by libseccomp's numbers. */
export const seccompOperators = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
} as const

const keysOf = <T extends Record<string, number>>(table: T) =>
  z.enum(Object.keys(table) as [keyof T & string, ...(keyof T & string)[]])

const Action = keysOf(seccompActions)
const errno = z.number().int().min(0).max(4095)
const value = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const architecture = z.string().regex(/^SCMP_ARCH_[A-Z0-9_]+$/)

const Condition = z.object({
  caps: z.array(z.string()).nullish(),
  /** Go's names, as `amd64`. */
  arches: z.array(z.string()).nullish(),
  minKernel: z
    .string()
    .regex(/^\d+\.\d+/)
    .nullish(),
})

/** A seccomp profile as Docker, Podman and the OCI runtime-spec (`linux.seccomp`) write it. */
export const SeccompProfile = z.object({
  defaultAction: Action,
  defaultErrnoRet: errno.nullish(),
  /** Docker's way to name architectures: the host's, with those that its kernel runs too. */
  archMap: z.array(z.object({ architecture, subArchitectures: z.array(architecture).nullish() })).nullish(),
  /** The runtime-spec's way. */
  architectures: z.array(architecture).nullish(),
  syscalls: z
    .array(
      z.object({
        names: z.array(z.string().regex(/^[a-z0-9_]{1,63}$/)),
        action: Action,
        errnoRet: errno.nullish(),
        args: z
          .array(
            z.object({
              index: z.number().int().min(0).max(5),
              value,
              valueTwo: value.nullish(),
              op: keysOf(seccompOperators),
            }),
          )
          .max(6)
          .nullish(),
        includes: Condition.nullish(),
        excludes: Condition.nullish(),
      }),
    )
    .max(2000)
    .nullish(),
})
export type SeccompProfile = z.infer<typeof SeccompProfile>

/** Which system calls a container may make: Dolly's own profile, one of the caller's, or all. */
export const Seccomp = z.union([z.enum(['default', 'unconfined']), SeccompProfile])
export type Seccomp = z.infer<typeof Seccomp>
