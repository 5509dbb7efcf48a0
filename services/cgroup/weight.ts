/** `cpu.shares` of v1: what the kernel takes without changing it. */
export const sharesRange = { min: 2, max: 262_144 } as const
/** Block I/O weight of the OCI runtime-spec. */
export const blockWeightRange = { min: 10, max: 1000 } as const

/**
 * `cpu.weight` for `cpu.shares`: the curve that runc, crun and systemd agreed on, which keeps both
 * ends and puts the default of the one (1024) at the default of the other (100).
 */
export const cpuWeight = (shares: number): number => {
  if (shares <= sharesRange.min) return 1
  if (shares >= sharesRange.max) return 10_000
  const l = Math.log2(shares)
  return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34))
}

/** `io.weight` (1 to 10000) for a block I/O weight (10 to 1000). */
export const ioWeight = (weight: number): number =>
  1 + Math.floor(((weight - blockWeightRange.min) * 9999) / (blockWeightRange.max - blockWeightRange.min))
