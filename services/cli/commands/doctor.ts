import { styleText } from 'node:util'
import type { Command } from 'commander'
import { loadConfig } from '../../../shared/config.ts'
import { ExitCode } from '../output/failure.ts'
import { printJson, printLine, remark } from '../output/print.ts'
import { table } from '../output/table.ts'
import { hostChecks } from '../stack/host-checks.ts'
import { scaleChecks } from '../stack/scale-checks.ts'

const checkHost = async (json: boolean): Promise<void> => {
  const config = loadConfig()
  const { replyChecks } = await import('./doctor/replies.ts')
  const checks = (await Promise.all([hostChecks(config), scaleChecks(config), replyChecks(config)])).flat()
  if (json) printJson(checks)
  else {
    const mark = (ok: boolean, optional = false) =>
      ok ? styleText('green', 'ok') : optional ? styleText('yellow', 'note') : styleText('red', 'FAILED')
    const rows = checks.map(({ name, ok, found, wanted, optional }) => [
      mark(ok, optional),
      name,
      found,
      ok ? '' : wanted,
    ])
    printLine(table(['RESULT', 'CHECK', 'FOUND', 'WANTED'], rows))
  }
  if (checks.some(({ ok, optional }) => !ok && !optional)) throw new ExitCode(1)
}

const listLeaks = async (json: boolean, node?: string): Promise<void> => {
  const { findLeaks } = await import('./doctor/leaks.ts')
  const leaks = await findLeaks(loadConfig(), node)
  if (json) printJson(leaks)
  else if (leaks.length === 0) remark('no leaks')
  else
    printLine(
      table(
        ['KIND', 'NAME', 'CONTAINER', 'LOG'],
        leaks.map(({ kind, name, container, ownership = '-' }) => [kind, name, container ?? '-', ownership]),
      ),
    )
  if (leaks.length > 0) throw new ExitCode(1)
}

const clean = async (container: string, json: boolean, node?: string): Promise<void> => {
  const { cleanHost } = await import('./doctor/clean.ts')
  const removed = await cleanHost(container, node)
  if (json) printJson({ removed })
  else printLine(container)
}

interface DoctorFlags {
  leaks?: boolean
  clean?: string
  node?: string
  json?: boolean
}

export const configure = (command: Command): void => {
  command
    .option('--leaks', 'list every object under Dolly’s names that no living container owns')
    .option('--clean <id>', 'remove what a container that is not in the log has left on its host')
    .option('--node <name>', 'with --leaks and --clean: on another host of the fleet')
    .option('--json', 'print JSON')
    .action(({ leaks, clean: id, node, json = false }: DoctorFlags) =>
      id !== undefined ? clean(id, json, node) : leaks ? listLeaks(json, node) : checkHost(json),
    )
}
