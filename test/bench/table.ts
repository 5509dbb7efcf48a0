import type { Results } from './results.ts'
import type { Summary } from './statistics.ts'

const columns = ['median', 'p90', 'p99', 'max'] as const

const change = (now: number, before: number | undefined): string =>
  before === undefined ? '' : `${now >= before ? '+' : ''}${Math.round((now / before - 1) * 100)} %`

type Work = 'create' | 'remove' | 'exec' | 'runOnce'

const rows = (results: Results, last: Results | undefined, work: Work): string[] => {
  const median = (name: string, of: Results | undefined) =>
    of?.launchers.find((launcher) => launcher.name === name)?.[work]?.median
  const own = median('dolly', results) ?? Number.NaN
  return results.launchers.flatMap((launcher) => {
    const series: Summary | undefined = launcher[work]
    if (!series) return []
    const cells = [
      launcher.name,
      series.runs,
      ...columns.map((column) => series[column].toFixed(1)),
      `${(series.median / own).toFixed(2)} x`,
      change(series.median, median(launcher.name, last)),
    ]
    return [`| ${cells.join(' | ')} |`]
  })
}

const head = (title: string): string[] => [
  `## ${title}`,
  '',
  '| launcher | runs | median ms | p90 | p99 | max | of Dolly | since last run |',
  '|-|-|-|-|-|-|-|-|',
]

const line = (what: string, ...figures: (string | number)[]): string =>
  `| ${[what, ...figures].join(' | ')} |`
const one = (value: number): string => value.toFixed(1)

const scaleLines = ({ scale }: Results): string[] =>
  scale
    ? [
        '## Many that run',
        '',
        line('', `${scale.few} running`, `${scale.many} running`),
        '|-|-|-|',
        line('create, median ms', one(scale.createWithFew), one(scale.createWithMany)),
        line('memory of the services, MiB', one(scale.servicesMiB), one(scale.servicesMiBWithMany)),
        line(
          'services at rest, % of one processor',
          `${scale.restPercent.toFixed(2)} (none running)`,
          scale.restPercentWithMany.toFixed(2),
        ),
        '',
        `An idle container takes ${scale.mebibytesPerContainer.toFixed(2)} MiB of the machine, all told${scale.peers
          .map(
            ({ name, containers, mebibytes }) =>
              `; of ${name} ${mebibytes.toFixed(2)} (${containers} containers)`,
          )
          .join('')}. ${scale.atOnce} deletes at once took ${Math.round(scale.deleteAtOnceMs)} ms.`,
        '',
      ]
    : []

const queueLines = ({ queue }: Results): string[] =>
  queue
    ? [
        '## All at once',
        '',
        `${queue.containers} creates published at once: ${queue.answered} answered, ${one(queue.createsPerSecond)} a second, at most ${queue.mostOutOfOrder} places out of order; up to ${queue.mostWaiting} were seen waiting, with ${queue.mostPlaces} places, ${queue.listsUnanswered} lists were not answered; the services took ${one(queue.servicesMiB)} MiB before and ${one(queue.servicesMostMiB)} at most.`,
        '',
      ]
    : []

const rateOf = (median: number, each: readonly number[], what: string): string =>
  `${one(median)} ${what} a second` + (each.length > 1 ? ` (median of ${each.map(one).join(', ')})` : '')

const burstLine = (burst: Results['burst']): string =>
  `Dolly, ${burst.clients} clients, ${burst.containers} containers: ` +
  `${rateOf(burst.createsPerSecond, burst.creates, 'creates')}, ${rateOf(burst.deletesPerSecond, burst.deletes, 'deletes')}.`

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
    ...head('Execute `true` in it'),
    ...rows(results, last, 'exec'),
    '',
    ...head('`run --rm IMAGE true`, the whole command line'),
    ...rows(results, last, 'runOnce'),
    '',
    '## Burst',
    '',
    burstLine(burst),
    '',
    ...scaleLines(results),
    ...queueLines(results),
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
