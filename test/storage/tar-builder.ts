export interface Entry {
  name: string
  /** `0` file, `1` hard link, `2` symbolic link, `3` and `4` character and block device, `5` directory, `6` FIFO, `x` pax header, `L` GNU's long name. */
  type?: '0' | '1' | '2' | '3' | '4' | '5' | '6' | 'x' | 'L'
  body?: string | Buffer
  link?: string
  mode?: number
  device?: [number, number]
}

const blockBytes = 512

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`

/** One block: what comes before so many bytes of content. */
export const headerOf = (
  { name, type = '0', link = '', mode = 0o755, device = [0, 0] }: Entry,
  size: number,
): Buffer => {
  const block = Buffer.alloc(blockBytes)
  const put = (text: string, offset: number) => block.write(text, offset, 'latin1')
  put(name, 0)
  put(octal(mode, 8), 100)
  put(octal(0, 8), 108)
  put(octal(0, 8), 116)
  put(octal(size, 12), 124)
  put(octal(0, 12), 136)
  put(' '.repeat(8), 148)
  put(type, 156)
  put(link, 157)
  put('ustar\x0000', 257)
  put(octal(device[0], 8), 329)
  put(octal(device[1], 8), 337)
  const sum = block.reduce((total, byte) => total + byte, 0)
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** A tar that no archiver would make: entries exactly as given. */
export const tarOf = (entries: readonly Entry[]): Buffer => {
  const blocks = entries.flatMap((entry) => {
    const body = Buffer.from(entry.body ?? '')
    return [
      headerOf(entry, body.length),
      body,
      Buffer.alloc((blockBytes - (body.length % blockBytes)) % blockBytes),
    ]
  })
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)])
}

/** A pax header that gives the next entry a value, as archivers do for long names and attributes. */
export const paxOf = (key: string, value: string): Entry => {
  const tail = ` ${key}=${value}\n`
  const guess = Buffer.byteLength(tail) + 2
  const length = String(guess).length === 2 ? guess : guess + 1
  return { name: 'pax', type: 'x', body: `${length}${tail}` }
}
