const units = ['B', 'kB', 'MB', 'GB', 'TB']

/** Bytes as Docker prints them: decimal units and three figures, as "1.23MB". */
export const byteSize = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`
}
