import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { systemPath } from '../../shared/recorder.ts'
import { type Entry, tarOf } from './tar-builder.ts'

const script = fileURLToPath(new URL('../../services/storage/extract-in-jail.sh', import.meta.url))

/** The script with a tar that has its own guards switched off: what then holds is the jail. */
const extractTrusting = (root: string, entries: readonly Entry[]) => {
  const [image, jail] = [join(root, 'image'), join(root, 'jail')]
  for (const path of [image, jail]) mkdirSync(path)
  const args = ['--mount', '--propagation', 'private', '/bin/sh', script, image, jail]
  const { status, stderr } = spawnSync('/usr/bin/unshare', args, {
    input: tarOf(entries),
    env: { PATH: systemPath, TAR_OPTIONS: '--absolute-names' },
    encoding: 'utf8',
  })
  return { status, stderr, image, jail }
}

const attacks: [string, (root: string) => Entry[]][] = [
  ['an absolute name', (root) => [{ name: join(root, 'outside'), body: 'x' }]],
  ['a name that climbs', () => [{ name: '../outside', body: 'x' }]],
  [
    'an absolute link',
    (root) => [
      { name: 'out', type: '2', link: root },
      { name: 'out/outside', body: 'x' },
    ],
  ],
  [
    'a link that climbs',
    () => [
      { name: 'out', type: '2', link: '..' },
      { name: 'out/outside', body: 'x' },
    ],
  ],
  ['the programs of the system', () => [{ name: '/usr/bin/outside', body: 'x' }]],
  ['the processes of the host', () => [{ name: '/proc/1/root/tmp/outside', body: 'x' }]],
]

for (const [what, entries] of attacks) {
  test(`in the jail even a trusting tar cannot write through ${what}`, (t) => {
    const root = mkdtempSync(join(tmpdir(), 'dolly-test-jail-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const { status, stderr, jail } = extractTrusting(root, [{ name: 'inside', body: 'x' }, ...entries(root)])
    t.not(status, 0)
    t.regex(stderr, /tar: .*(Read-only file system|No such file or directory|Cannot mkdir)/)
    for (const path of [join(root, 'outside'), '/usr/bin/outside', '/tmp/outside'])
      t.false(existsSync(path), path)
    t.deepEqual(readdirSync(jail), [], 'the jail is seen by nobody else')
  })
}

test('in the jail a tar cannot take a file of the host by a hard link', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'dolly-test-jail-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  writeFileSync(join(root, 'secret'), 'secret')
  const { status, image } = extractTrusting(root, [
    { name: 'inside', body: 'x' },
    { name: 'stolen', type: '1', link: join(root, 'secret') },
  ])
  t.not(status, 0)
  t.is(readFileSync(join(image, 'inside'), 'utf8'), 'x')
  t.false(existsSync(join(image, 'stolen')))
})
