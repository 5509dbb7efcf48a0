/** Instructions of BPF (RFC 9669) as this program needs them. */
const operation = {
  loadWord: 0x61,
  copy: 0xbf,
  and: 0x57,
  shiftRight: 0x77,
  set: 0xb7,
  unlessEqual: 0x55,
  exit: 0x95,
} as const

/** Registers: the answer, the kernel's `struct bpf_cgroup_dev_ctx`, and what is read from it. */
const [answer, context, type, access, major, minor] = [0, 1, 2, 3, 4, 5]

/** Offsets in `struct bpf_cgroup_dev_ctx`: type in the lower half of the first word, access in the upper. */
const [typeAndAccessAt, majorAt, minorAt] = [0, 4, 8]
const types: Record<string, number> = { b: 1, c: 2 }
const accesses: Record<string, number> = { m: 1, r: 2, w: 4 }
const everyAccess = 7
const bytesOfInstruction = 8

const instruction = (
  code: number,
  {
    to = 0,
    from = 0,
    offset = 0,
    value = 0,
  }: { to?: number; from?: number; offset?: number; value?: number },
): Buffer => {
  const bytes = Buffer.alloc(bytesOfInstruction)
  bytes.writeUInt8(code, 0)
  bytes.writeUInt8((from << 4) | to, 1)
  bytes.writeInt16LE(offset, 2)
  bytes.writeInt32LE(value, 4)
  return bytes
}

const answerWith = (value: number): Buffer[] => [
  instruction(operation.set, { to: answer, value }),
  instruction(operation.exit, {}),
]

interface Condition {
  /** What has to be done before the comparison. */
  before: Buffer[]
  register: number
  value: number
}

/** Asked for nothing but what the rule gives: the bits beyond it must be 0. */
const noMoreThan = (allowed: number): Condition[] =>
  allowed === everyAccess
    ? []
    : [
        {
          before: [
            instruction(operation.copy, { to: context, from: access }),
            instruction(operation.and, { to: context, value: everyAccess & ~allowed }),
          ],
          register: context,
          value: 0,
        },
      ]

const isNumber = (register: number, text: string): Condition[] =>
  text === '*' ? [] : [{ before: [], register, value: Number(text) }]

/** Allows what the rule names; what it does not falls through to the next. */
const ruleBlock = (rule: string): Buffer[] => {
  const [, kind = '', majorText = '', minorText = '', letters = ''] =
    /^([bc]) (\d+|\*):(\d+|\*) ([rwm]+)$/.exec(rule) ?? []
  const kindValue = types[kind]
  if (kindValue === undefined) throw new Error(`"${rule}" is no device rule`)
  const allowed = [...letters].reduce((bits, letter) => bits | (accesses[letter] ?? 0), 0)
  const conditions = [
    { before: [], register: type, value: kindValue },
    ...noMoreThan(allowed),
    ...isNumber(major, majorText),
    ...isNumber(minor, minorText),
  ]
  // Built from its end, since each comparison jumps over all that follows it.
  return conditions.reduceRight((rest, { before, register, value }) => {
    const jump = instruction(operation.unlessEqual, { to: register, value, offset: rest.length })
    return [...before, jump, ...rest]
  }, answerWith(1))
}

/**
 * The program (BPF_PROG_TYPE_CGROUP_DEVICE) that allows what device rules of the v1 controller allow,
 * as `c 1:3 rwm`, and denies all else: eight bytes an instruction, in the order of the machine (little endian).
 */
export const deviceProgram = (rules: readonly string[]): Buffer =>
  Buffer.concat([
    instruction(operation.loadWord, { to: type, from: context, offset: typeAndAccessAt }),
    instruction(operation.copy, { to: access, from: type }),
    instruction(operation.and, { to: type, value: 0xffff }),
    instruction(operation.shiftRight, { to: access, value: 16 }),
    instruction(operation.loadWord, { to: major, from: context, offset: majorAt }),
    instruction(operation.loadWord, { to: minor, from: context, offset: minorAt }),
    ...rules.flatMap(ruleBlock),
    ...answerWith(0),
  ])
