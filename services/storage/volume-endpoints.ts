import * as operations from '../../shared/contracts/operations.ts'
import type { KeyedQueue } from '../../shared/keyed-queue.ts'
import { operating } from '../../shared/operating.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { type Endpoint, endpoint } from '../../shared/service.ts'
import { ensureMounted } from './cow-file-system.ts'
import type { StorageHost } from './root-snapshot.ts'
import { describeVolume, listVolumes, makeVolume, removeVolume, volumeExists } from './volume.ts'

interface VolumeParts {
  host: () => StorageHost
  /** One change of a volume at a time. */
  queue: KeyedQueue
  inUse: <T>(act: () => Promise<T>) => Promise<T>
}

/** What operators and clients do with volumes beside their containers. */
export const volumeEndpoints = ({ host, queue, inUse }: VolumeParts): Endpoint[] => {
  const mounted = <T>(what: string, record: Recorder, act: () => Promise<T>): Promise<T> =>
    operating(what, () => inUse(async () => (await ensureMounted(host().config, record), act())))
  const names = () => host().config.names
  return [
    endpoint(operations.volumeCreate, ({ name, ...about }, { record }) =>
      mounted(`create volume ${name}`, record, () =>
        queue.run(name, async () => {
          if (!(await volumeExists(names(), name)))
            await makeVolume(host(), { name, about: { ...about, used: false } }, record)
          return describeVolume(names(), name)
        }),
      ),
    ),
    endpoint(operations.volumeList, (_, { record }) =>
      mounted('list volumes', record, async () => ({ volumes: await listVolumes(names()) })),
    ),
    endpoint(operations.volumeInspect, ({ name }, { record }) =>
      mounted(`inspect volume ${name}`, record, () => describeVolume(names(), name)),
    ),
    endpoint(operations.volumeRemove, ({ name }, { record }) =>
      mounted(`remove volume ${name}`, record, () =>
        queue.run(name, async () => (await removeVolume(names(), name, record), { name })),
      ),
    ),
  ]
}
