import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { isAlive, readInit } from '../../services/namespace/process-identity.ts'

const startTicks = () => {
  const stat = readFileSync(`/proc/${process.pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

test('a process is known again by its pid, its start and the boot, not by less', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dolly-test-identity-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const alive = (text: string) => {
    writeFileSync(join(directory, 'pid'), text)
    const init = readInit(join(directory, 'pid'))
    return init && isAlive(init)
  }
  const own = `${process.pid} ${startTicks()}`
  t.true(alive(`${own} ${bootId()}\n`))
  t.true(alive(`${own}\n`), 'as it was written before the boot was')
  t.false(alive(`${own} 00000000-0000-4000-8000-000000000000\n`), 'of another boot')
  t.false(alive(`${process.pid} 1 ${bootId()}\n`))
  t.is(alive(`${own} ${bootId()}`), undefined, 'cut off')
})
