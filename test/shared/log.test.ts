import test from 'ava'
import { execa } from 'execa'

const line = `import { createLog } from './shared/log.ts'
const log = createLog({ service: 'x' })
process.on('SIGTERM', () => { log.info('stopping'); process.exit(3) })
for (let n = 0; n < 2000; n++) log.info({ n }, 'said')
log.info('ready')
process.stdout.write('ready')
setInterval(() => {}, 1000)`

test('a program whose log cannot be written goes on, and ends when it is asked to', async (t) => {
  const child = execa(
    'bash',
    ['-c', 'exec "$0" --input-type=module-typescript -e "$1" 2> /dev/full', process.execPath, line],
    { reject: false, timeout: 20_000, forceKillAfterDelay: 100 },
  )
  child.stdout.once('data', () => child.kill('SIGTERM'))
  t.like(await child, { exitCode: 3, stdout: 'ready' })
})

test('all that is logged is written, in its order', async (t) => {
  const { stderr } = await execa(
    process.execPath,
    ['--input-type=module-typescript', '-e', line.replace('setInterval(() => {}, 1000)', 'process.exit()')],
    { reject: false },
  )
  const lines = stderr.split('\n').map((text) => JSON.parse(text) as { n?: number; msg: string })
  t.is(lines.length, 2001)
  t.true(lines.slice(0, -1).every(({ n }, index) => n === index))
})
