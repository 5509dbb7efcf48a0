import { z } from 'zod'

/** Shapes of the OCI runtime-spec's config.json, as far as Dolly uses them. */
export const Rlimit = z.object({ type: z.string(), soft: z.number().int(), hard: z.number().int() })

export const Process = z.object({
  terminal: z.boolean(),
  /** Keep standard input open for an attached client (`docker run -i`). */
  stdin: z.boolean(),
  /** `uid`, `user`, `uid:gid` or `user:group`, resolved inside the container; empty is the image's user. */
  user: z.string(),
  /** `ENTRYPOINT` and `CMD` as the caller gave them; undefined is the image's. */
  entrypoint: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  env: z.array(z.string()),
  cwd: z.string().optional(),
  rlimits: z.array(Rlimit),
  /** Bounding, permitted and effective set, as `CAP_CHOWN`. */
  capabilities: z.array(z.string()),
  noNewPrivileges: z.boolean(),
  oomScoreAdj: z.number().int().optional(),
})
export type Process = z.infer<typeof Process>

/** Bytes that a container's log takes at most; Docker's and Compose's `max-size`. */
export const LogSize = z
  .number()
  .int()
  .positive()
  .default(10 * 2 ** 20)

/** Who a container's root is on the host: `auto` is someone in a range of its own, `host` is root. Compose's `userns_mode`. */
export const UsernsMode = z.enum(['auto', 'host'])

/** A user namespace that maps user and group ids 0 to `size - 1` to those of the host from `hostID` on. */
export const UserNamespace = z.object({
  /** Path of a namespace that it owns: pinned under one name, both stay. */
  ownerOf: z.string(),
  hostID: z.number().int(),
  size: z.number().int(),
})
export type UserNamespace = z.infer<typeof UserNamespace>

const Device = z.object({ path: z.string(), rate: z.number().int().nonnegative() })

/** `linux.resources`; sizes in bytes, times in microseconds. */
export const Resources = z.object({
  cpu: z
    .object({
      shares: z.number().int().optional(),
      quota: z.number().int().optional(),
      period: z.number().int().optional(),
      cpus: z.string().optional(),
    })
    .default({}),
  memory: z
    .object({
      limit: z.number().int().optional(),
      /** Memory and swap together, as in the OCI runtime-spec; -1 is unlimited. */
      swap: z.number().int().optional(),
      reservation: z.number().int().optional(),
    })
    .default({}),
  pids: z.object({ limit: z.number().int().optional() }).default({}),
  blockIO: z
    .object({
      weight: z.number().int().optional(),
      throttleReadBpsDevice: z.array(Device).optional(),
      throttleWriteBpsDevice: z.array(Device).optional(),
      throttleReadIOPSDevice: z.array(Device).optional(),
      throttleWriteIOPSDevice: z.array(Device).optional(),
    })
    .default({}),
})
export type Resources = z.infer<typeof Resources>

/** What an image says of the process it is made for (OCI image-spec `config`). */
export const ImageConfig = z.object({
  Env: z.array(z.string()).optional(),
  Entrypoint: z.array(z.string()).nullish(),
  Cmd: z.array(z.string()).nullish(),
  WorkingDir: z.string().optional(),
  User: z.string().optional(),
  StopSignal: z.string().optional(),
})
export type ImageConfig = z.infer<typeof ImageConfig>
