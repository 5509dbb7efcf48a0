import type { Results } from './results.ts'
import type { Summary } from './statistics.ts'

const columns = ['median', 'p90', 'p99', 'max'] as const

const change = (now: number, before: number | undefined): string =>
  before === undefined ? '' : `${now >= before ? '+' : ''}${Math.round((now / before - 1) * 100)} %`

const rows = (results: Results, last: Results | undefined, work: 'create' | 'remove'): string[] => {
  const median = (name: string, of: Results | undefined) =>
    of?.launchers.find((launcher) => launcher.name === name)?.[work].median
  const own = median('dolly', results) ?? Number.NaN
  return results.launchers.map((launcher) => {
    const series: Summary = launcher[work]
    const cells = [
      launcher.name,
      series.runs,
      ...columns.map((column) => series[column].toFixed(1)),
      `${(series.median / own).toFixed(2)} x`,
      change(series.median, median(launcher.name, last)),
    ]
    return `| ${cells.join(' | ')} |`
  })
}

const head = (title: string): string[] => [
  `## ${title}`,
  '',
  '| launcher | runs | median ms | p90 | p99 | max | of Dolly | since last run |',
  '|-|-|-|-|-|-|-|-|',
]

/** The results as a page of Markdown, compared with the run before. */
export const tableOf = (results: Results, last: Results | undefined): string => {
  const { machine, burst, profile, launchers, skipped } = results
  const host = `${machine.processors} processors (${machine.model}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}`
  return [
    `# Launch times, ${results.date}`,
    '',
    `${host}; load averages at the end ${machine.load.join(', ')}. Interleaved, warm, one at a time.`,
    '',
    ...launchers.map(({ name, version, note }) => `- ${name} ${version}: ${note}`),
    ...skipped.map(({ name, reason }) => `- ${name}: skipped, ${reason}`),
    '',
    ...head('Create until it runs'),
    ...rows(results, last, 'create'),
    '',
    ...head('Delete until nothing is left'),
    ...rows(results, last, 'remove'),
    '',
    '## Burst',
    '',
    `Dolly, ${burst.clients} clients, ${burst.containers} containers: ${burst.createsPerSecond.toFixed(1)} creates a second, ${burst.deletesPerSecond.toFixed(1)} deletes a second.`,
    '',
    "## Where Dolly's milliseconds go",
    '',
    'From the containers’ own logs; steps without needs run at the same time.',
    '',
    '| step, or work in it | times | mean ms |',
    '|-|-|-|',
    ...profile.map(({ what, times, ms }) => `| ${what} | ${times.toFixed(1)} | ${ms.toFixed(2)} |`),
    '',
  ].join('\n')
}
