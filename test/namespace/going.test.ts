import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { processCopy, processExec } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import { processesNaming } from '../helpers/kernel-facts.ts'
import { cgroupWith } from './own-cgroup.ts'
import { type NamespaceTestHost, namespaceHost } from './namespace-host.ts'

const rounds = 40
const copy = (host: NamespaceTestHost, id: string) =>
  host.request(processCopy, { id, direction: 'out', directory: '/etc', name: 'passwd' })
const exec = (host: NamespaceTestHost, id: string) => host.request(processExec, { id, args: ['true'] })

/** Removes the container in the middle of what is made beside it, at each moment in turn, and answers what became of that. */
const removedMeanwhile = async (
  t: ExecutionContext,
  host: NamespaceTestHost,
  make: typeof copy | typeof exec,
): Promise<Set<string>> => {
  const codes = new Set<string>()
  const cgroupDirectories = [cgroupWith(t, host, 'cgroup.procs') ?? '']
  for (let round = 0; round < rounds; round++) {
    const id = `x${round % 4}`
    await host.make(id, { args: make === copy ? ['true'] : ['sleep', '1000'], cgroupDirectories })
    if (make === copy) t.is(await host.exitCode(id), 0)
    const { directory } = host.paths(id)
    const made = make(host, id).then(
      () => 'made',
      (error: unknown) => (error instanceof Failure ? error.code : String(error)),
    )
    await delay(round / 4)
    await host.undo(id)
    codes.add(await made)
    t.false(existsSync(directory), `${directory} is gone`)
    t.deepEqual(await processesNaming(directory), [])
  }
  return codes
}

for (const make of [copy, exec])
  test.serial(
    `a container that is removed in the middle of ${make.name === 'copy' ? 'a copy' : 'an exec'} leaves nothing of it and no failure of the host`,
    async (t) => {
      await using host = await namespaceHost()
      const codes = await removedMeanwhile(t, host, make)
      t.deepEqual(
        [...codes].filter((code) => !['made', 'conflict', 'not_found'].includes(code)),
        [],
      )
    },
  )
