/** One JSON document, for programs. */
export const printJson = (value: unknown): void =>
  void process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)

/** One JSON document a line, for streams. */
export const printJsonLine = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

export const printLine = (line: string): void => void process.stdout.write(`${line}\n`)

/** Progress and remarks go where data does not. */
export const remark = (line: string): void => void process.stderr.write(`${line}\n`)
