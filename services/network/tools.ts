import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../shared/failure.ts'
import { systemPath } from '../../shared/recorder.ts'

const packages = { ip: 'iproute2', nft: 'nftables', unshare: 'util-linux', nsenter: 'util-linux' }

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Throws `Failure` (`host_unfit`) that names the first program missing from the path and its package. */
export const requireTools = (path = systemPath): void => {
  for (const [tool, name] of Object.entries(packages)) {
    if (path.split(':').some((directory) => isExecutable(join(directory, tool)))) continue
    throw new Failure(
      'host_unfit',
      `cannot ready the network: no program "${tool}" in ${path}; install the package ${name}`,
      {
        details: { tool, package: name },
      },
    )
  }
}
