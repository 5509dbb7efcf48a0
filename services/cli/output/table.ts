import Table from 'cli-table3'

const noBorders = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '   ',
}

// A name or a command of a container must not move the cursor or colour the terminal.
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '?')

/** Columns as Docker prints them: upper-case heads, three spaces between, no borders, no spaces at the end. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const grid = new Table({
    head: [...head],
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  grid.push(...rows.map((row) => row.map(printable)))
  return grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
