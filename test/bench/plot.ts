import type { Results } from './results.ts'

const bar = { height: 18, gap: 6, left: 90, width: 560 }
const colours = { create: '#2f6f9f', remove: '#b5651d' }

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const text = (x: number, y: number, content: string, extra = ''): string =>
  `<text x="${x}" y="${y}" font-family="sans-serif" font-size="12" ${extra}>${escaped(content)}</text>`

/**
 * Medians as bars on a logarithmic scale, since one launcher takes a hundred times as long as another,
 * each with a line to its 99th percentile.
 */
export const plotOf = ({ launchers, date }: Results): string => {
  const series = launchers.flatMap(({ name, create, remove }) => [
    { name, work: 'create' as const, ...create },
    { name: '', work: 'remove' as const, ...remove },
  ])
  const most = Math.max(...series.map(({ p99 }) => p99))
  const scale = (ms: number) => (bar.width * Math.log10(Math.max(ms, 1))) / Math.log10(most * 1.2)
  const height = 60 + series.length * (bar.height + bar.gap)
  const drawn = series.flatMap(({ name, work, median, p99 }, index) => {
    const y = 40 + index * (bar.height + bar.gap)
    const middle = y + bar.height / 2
    return [
      text(bar.left - 8, middle + 4, name, 'text-anchor="end"'),
      `<rect x="${bar.left}" y="${y}" width="${scale(median).toFixed(1)}" height="${bar.height}" fill="${colours[work]}"/>`,
      `<line x1="${(bar.left + scale(median)).toFixed(1)}" x2="${(bar.left + scale(p99)).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="${colours[work]}"/>`,
      text(bar.left + scale(p99) + 6, middle + 4, `${median.toFixed(1)} ms`),
    ]
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${bar.left + bar.width + 110}" height="${height}">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(bar.left, 22, `${date}: median to create (blue) and delete (brown), line to p99, logarithmic`),
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}
