import { readFileSync } from 'node:fs'
import { type Config, idsPerContainer } from '../../shared/config.ts'
import { Failure, errnoOf } from '../../shared/failure.ts'

const standardFiles = ['/etc/subuid', '/etc/subgid']

const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return ''
    throw error
  }
}

/**
 * Throws `Failure` (`host_unfit`) when the pool of ids has some that subuid(5) or subgid(5) gives to a user:
 * whoever has an id can reach the processes of a container that has it too.
 */
export const requireOwnPool = ({ idPool }: Pick<Config, 'idPool'>, files = standardFiles): void => {
  const end = idPool.first + idPool.count * idsPerContainer
  for (const file of files) {
    for (const line of textOf(file).split('\n')) {
      const [, user = '', first = '', count = ''] = /^([^:#]+):(\d+):(\d+)\s*$/.exec(line) ?? []
      if (!user || Number(first) >= end || Number(first) + Number(count) <= idPool.first) continue
      throw new Failure(
        'host_unfit',
        `cannot use user ids ${idPool.first} to ${end - 1} for containers: ${file} gives ${first}:${count} to ${user}; set DOLLY_ID_POOL to ids of nobody`,
      )
    }
  }
}
