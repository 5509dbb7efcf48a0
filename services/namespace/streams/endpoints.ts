import { existsSync } from 'node:fs'
import {
  streamAttach,
  streamClose,
  streamLogs,
  streamRead,
  streamResize,
  streamWrite,
} from '../../../shared/contracts/streams.ts'
import { Failure } from '../../../shared/failure.ts'
import { type Endpoint, endpoint } from '../../../shared/service.ts'
import type { BundlePaths } from '../bundle.ts'
import { execPaths } from '../exec.ts'
import type { NamespaceHost } from '../host.ts'
import { hasDropped } from '../log-file.ts'
import { attachSource, logSource } from './sources.ts'

const containerPaths = (host: NamespaceHost, id: string): BundlePaths => {
  const paths = host.paths(id)
  if (existsSync(paths.directory)) return paths
  throw new Failure('not_found', `container ${id} does not exist on this host`)
}

/** Streams of this host's containers for whoever is elsewhere: pulled and pushed by requests, each of which may be repeated. */
export const streamEndpoints = (host: () => NamespaceHost): Endpoint[] => [
  {
    ...endpoint(streamAttach, async ({ id, execId }) => {
      const paths = execId === undefined ? containerPaths(host(), id) : execPaths(host(), id, execId)
      return { stream: await host().streams.open(() => attachSource(paths)) }
    }),
    concurrent: true,
  },
  {
    ...endpoint(streamLogs, async ({ id, ...wish }) => {
      const paths = containerPaths(host(), id)
      const stream = await host().streams.open(() => logSource(paths, wish))
      return { stream, dropped: hasDropped(paths) }
    }),
    concurrent: true,
  },
  endpoint(streamRead, async ({ stream, after }) => {
    const { frames, ...rest } = await host().streams.read(stream, after)
    const coded = frames.map(({ stream: from, data }) => ({ stream: from, data: data.toString('base64') }))
    return { frames: coded, ...rest }
  }),
  endpoint(streamWrite, async ({ stream, data, ...where }) =>
    host().streams.write(stream, { ...where, data: Buffer.from(data, 'base64') }),
  ),
  endpoint(streamResize, async ({ stream, ...size }) => {
    await host().streams.resize(stream, size)
    return {}
  }),
  endpoint(streamClose, async ({ stream }) => {
    host().streams.close(stream)
    return {}
  }),
]
