import { z } from 'zod'

/** A container's id: one NATS subject token, one path component. */
export const ContainerId = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'an id has 1 to 64 of A-Z, a-z, 0-9, "_" and "-", and begins with a letter or digit',
  )

/** A container's name, by Docker's rule. */
export const ContainerName = z
  .string()
  .regex(
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/,
    'a name has 1 to 128 of A-Z, a-z, 0-9, "_", "." and "-", and begins with a letter or digit',
  )

/** Whether a text is a ULID, as ids are that nobody chose: no other container may be called so. */
export const isUlid = (text: string): boolean => /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text)

/** A host's name: one NATS subject token. */
export const NodeName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,31}$/,
    'a node name has 1 to 32 of a-z, 0-9 and "-", and begins with a letter or digit',
  )

/** An image reference: `name[:tag]`. */
export const ImageReference = z
  .string()
  .regex(
    /^[a-z0-9]+(?:[._/-][a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$/,
    'an image is named as name[:tag], in lower case',
  )
  .max(255)

/** The reference with its tag, `latest` when none was given. */
export const withTag = (reference: string): string =>
  reference.includes(':') ? reference : `${reference}:latest`
