import { linkSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { bundlePaths } from './fresh.ts'

/** The bundle's heap once all is loaded, and what tells whether it is of use: `services/cli/dolly` compares that. */
export const snapshotPaths = (project: string) => {
  const { directory, bundle } = bundlePaths(project)
  return {
    bundle,
    snapshot: join(directory, 'dolly.blob'),
    /** The same file as the Node that made it, as long as that is the project's. */
    node: join(directory, 'node'),
    /** Where it was made: the project's directory, and what the processor can. */
    made: join(directory, 'made'),
    usedNode: join(project, 'node_modules/.bin/node'),
  }
}

/** V8 takes no snapshot of a processor that can something else; what it can is in its alias for modules. */
const placeOf = (project: string): string =>
  `${project}\n${readFileSync('/sys/devices/system/cpu/modalias', 'utf8')}`

/** Whether there is a snapshot that this host's Node takes. */
export const isMadeHere = (project: string): boolean => {
  const { snapshot, node, made, usedNode } = snapshotPaths(project)
  try {
    const isSame = statSync(node).ino === statSync(usedNode).ino
    return isSame && statSync(snapshot).isFile() && readFileSync(made, 'utf8') === placeOf(project)
  } catch {
    return false
  }
}

/** Makes the snapshot of the bundle. Throws when Node cannot, or `EXDEV` when its file cannot be linked. */
export const makeSnapshot = async (project: string): Promise<void> => {
  const { bundle, snapshot, node, made, usedNode } = snapshotPaths(project)
  for (const file of [made, node]) rmSync(file, { force: true })
  const written = `${snapshot}.new`
  const options = ['--snapshot-blob', written, '--build-snapshot', bundle]
  const { failed, stderr, shortMessage } = await execa(usedNode, options, { reject: false })
  // Node shows the line of the source first, which is the whole bundle.
  if (failed) throw new Error(/^\w*Error: .*$/m.exec(stderr)?.[0] ?? shortMessage)
  renameSync(written, snapshot)
  linkSync(realpathSync(usedNode), node)
  // Last: what it does not speak of is not used.
  writeFileSync(made, placeOf(project))
}
