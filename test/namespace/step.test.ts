import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import test from 'ava'
import { waitFor } from '../../services/namespace/bounded-wait.ts'
import { launchersOf } from '../../services/namespace/monitor.ts'
import { labNamespace, namespace } from '../../shared/contracts/steps.ts'
import { type StepUnderTest, stepMacro } from '../helpers/step-macro.ts'
import { namespaceHost } from './namespace-host.ts'

const childrenOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)

const underTest = (contract: typeof namespace | typeof labNamespace) => async () => {
  const host = await namespaceHost()
  const step: StepUnderTest = {
    contract,
    send: host.send,
    input: (id) => ({ ...host.input(id), dns: ['192.0.2.53'], dnsSearch: [] }),
    inspect: async (id) => {
      const paths = host.paths(id)
      // Init bears the bundle's name until execve, and conmon's first process ends just after the launch.
      const supervisors = () =>
        launchersOf(paths).filter((pid) => !readlinkSync(`/proc/${pid}/exe`).includes('dolly-init'))
      await waitFor(() => supervisors().length < 2 || undefined, 2000)
      const monitors = supervisors()
      return [
        ...(existsSync(paths.directory) ? ['bundle'] : []),
        ...monitors.map(() => 'monitor'),
        ...monitors.flatMap(childrenOf).map(() => 'init'),
      ]
    },
    half: async (id) => {
      const { directory, spec } = host.paths(id)
      await mkdir(directory)
      await writeFile(spec, '{"id":')
      // Stands for a monitor whose service died before it was told to go on.
      spawn('/bin/sh', ['-c', 'read forever', 'conmon', '--bundle', directory])
    },
  }
  return { ...step, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() }
}

test(stepMacro, 'namespace', underTest(namespace))
test(stepMacro, 'lab-namespace', underTest(labNamespace))
