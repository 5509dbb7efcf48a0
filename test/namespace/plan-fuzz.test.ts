import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import { bundlePaths } from '../../services/namespace/bundle.ts'
import { planOf } from '../../services/namespace/container.ts'
import { nativeProgram } from '../../services/namespace/native-program.ts'
import { type Operation, encodePlan } from '../../services/namespace/operation.ts'
import { containerPlan } from '../../services/namespace/plan.ts'
import { namespace } from '../../shared/contracts/steps.ts'
import { run } from '../../shared/recorder.ts'
import { containerInput } from './namespace-host.ts'

const native = dirname(nativeProgram)
const executions = Number(process.env['DOLLY_FUZZ_EXECUTIONS'] ?? 150_000)
const seed = Number(process.env['DOLLY_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

/** A whole plan, and small ones to mix with it. */
const seeds: readonly (readonly Operation[])[] = [
  containerPlan(planOf(namespace.input.parse(containerInput('/r', 'x'))), bundlePaths('/b/x'), {
    cgroupMounts: [],
    filter: undefined,
  }),
  [['clone'], ['wait', '0'], ['exec', 'true']],
  [
    ['env', 'A=b', 'C=d'],
    ['clone', 'pid', 'mount'],
    ['mount', 'tmpfs', 'none', '/', 'nosuid', '', 'plain'],
  ],
]

/** What a root has of users and groups, which its image may have spoilt. */
const databases = 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001::/home/ada:/bin/sh\nmath:x:2000:root,ada\n'

test(`${executions} mutated plans and databases of users are read under the sanitizers`, async (t) => {
  t.timeout(180_000)
  t.log(`seed ${seed}`)
  await run('make', ['-s', '-C', native, 'fuzz'], { timeoutMs: 120_000 })
  const directory = await mkdtemp(join(tmpdir(), 'dolly-test-plans-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const files = seeds.map((_, index) => join(directory, `seed-${index}`))
  for (const [index, plan] of seeds.entries()) await writeFile(files[index]!, encodePlan(plan))
  files.push(join(directory, 'databases'))
  await writeFile(join(directory, 'databases'), databases)
  const args = [String(executions), String(seed), ...files]
  const said = await run(join(native, 'dolly-init-fuzz'), args, { timeoutMs: 150_000 })
  t.log(said.trim())
  const [, done, kept] = /^(\d+) executions, (\d+) inputs kept/.exec(said) ?? []
  t.is(Number(done), executions)
  t.true(Number(kept) > 30, 'new paths are found and built upon')
})
