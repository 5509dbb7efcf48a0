const programInterpreter = 3

/** Whether the program is a 64-bit ELF that asks for no dynamic loader: it then runs in an empty root. */
export const isStaticElf = (program: Buffer): boolean => {
  const isElf64 =
    program.length > 64 && program.readUInt32BE(0) === 0x7f454c46 && program[4] === 2 && program[5] === 1
  if (!isElf64) return false
  const [offset, size, count] = [
    Number(program.readBigUInt64LE(32)),
    program.readUInt16LE(54),
    program.readUInt16LE(56),
  ]
  if (offset + size * count > program.length) return false
  const types = Array.from({ length: count }, (_, index) => program.readUInt32LE(offset + size * index))
  return !types.includes(programInterpreter)
}
