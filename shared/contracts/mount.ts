import { z } from 'zod'
import { quantity } from './quantity.ts'

/** A named volume, by Docker's rule. */
export const VolumeName = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/,
    'a volume name has 1 to 128 of A-Z, a-z, 0-9, "_", "." and "-", and begins with a letter or digit',
  )

/** One of the runtime-spec's `mounts`: a named volume, or a directory or file of the host. */
export const Mount = z.object({
  type: z.enum(['volume', 'bind']),
  /** The volume's name, or an absolute path of the host. */
  source: z.string(),
  destination: z.string(),
  /** `nocopy`: a new volume stays empty whatever the image has there. */
  options: z.array(z.enum(['ro', 'nocopy'])),
})
export type Mount = z.infer<typeof Mount>

const path = z.string().regex(/^\/[^\0\n]*$/, 'is an absolute path')
const bytes = z
  .union([z.string(), z.number().int().nonnegative()])
  .refine((value) => quantity(value) !== undefined, 'is a size in bytes, as 1048576, "512M" or "1g"')
const place = { target: path, read_only: z.boolean().optional() }

/** An entry of Compose's `volumes`, in its short or its long syntax. */
export const ComposeVolume = z.union([
  z.string().regex(/^[^\0\n]+$/, 'holds no line break and no NUL'),
  z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('volume'),
      source: VolumeName,
      ...place,
      volume: z.strictObject({ nocopy: z.boolean().optional() }).optional(),
    }),
    z.strictObject({ type: z.literal('bind'), source: path, ...place }),
    z.strictObject({
      type: z.literal('tmpfs'),
      ...place,
      tmpfs: z
        .strictObject({ size: bytes.optional(), mode: z.number().int().max(0o7777).optional() })
        .optional(),
    }),
  ]),
])
export type ComposeVolume = z.infer<typeof ComposeVolume>
