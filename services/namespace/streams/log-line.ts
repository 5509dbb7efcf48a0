/** One line of a monitor's log file (the Kubernetes CRI format): `TIME stdout|stderr F|P text`. */
export interface LogLine {
  time: string
  stream: 'stdout' | 'stderr'
  text: string
  /** False when the container wrote no line break yet (or the line was too long): the next one goes on. */
  complete: boolean
}

/** Parses a line of the log file; undefined when it is none, as a line cut by a power failure. */
export const parseLogLine = (line: string): LogLine | undefined => {
  const match = /^(\S+) (stdout|stderr) ([FP])(?:\S*) (.*)$/s.exec(line)
  if (!match) return undefined
  const [, time = '', stream, tag, text = ''] = match
  return { time, stream: stream === 'stderr' ? 'stderr' : 'stdout', text, complete: tag === 'F' }
}

/** The time as Docker prints it: RFC 3339 with nanoseconds, UTC as "Z". */
export const logTime = (time: string): string => time.replace(/[+-]00:00$/, 'Z')
