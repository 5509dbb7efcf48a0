import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { resolveInRoot } from '../../services/storage/btrfs.ts'

/** Renames a file to and fro until it is ended. */
const renamer = (directory: string): Worker =>
  new Worker(
    `const { renameSync } = require('node:fs')
     for (;;) { renameSync(${JSON.stringify(join(directory, 'here'))}, ${JSON.stringify(join(directory, 'there'))})
                renameSync(${JSON.stringify(join(directory, 'there'))}, ${JSON.stringify(join(directory, 'here'))}) }`,
    { eval: true },
  )

test('a path that climbs is followed while the host renames elsewhere', async (t) => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'dolly-resolve-')))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const root = join(directory, 'root')
  mkdirSync(join(root, 'a/b'), { recursive: true })
  symlinkSync('../../a/../../../a/b/../b', join(root, 'a/link'))
  writeFileSync(join(directory, 'here'), '')
  const worker = renamer(directory)
  try {
    for (let n = 0; n < 300; n++) t.is(await resolveInRoot(root, '/a/link'), join(root, 'a/b'))
  } finally {
    await worker.terminate()
  }
})
