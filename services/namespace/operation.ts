/** One call of the plan: the name that the native program knows, then its arguments. */
export type Operation = readonly [name: string, ...args: string[]]

/** The plan as the native program reads it: NUL-terminated strings, each operation with its argument count. */
export const encodePlan = (operations: readonly Operation[]): Buffer =>
  Buffer.from(
    operations
      .flatMap(([name, ...args]) => [name, String(args.length), ...args])
      .map((text) => `${text.replaceAll('\0', '')}\0`)
      .join(''),
  )

/** Numbers for the descriptors that an operation opens and a later one uses. */
export const createSlots = () => {
  let next = 0
  return (): string => String(next++)
}
