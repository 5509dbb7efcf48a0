import type { Config } from '../../shared/config.ts'
import { imageImport, imageList, imageRemove, imageUpload } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import { createKeyedQueue } from '../../shared/keyed-queue.ts'
import { operating } from '../../shared/operating.ts'
import { type Endpoint, endpoint } from '../../shared/service.ts'
import { ensureMounted } from './cow-file-system.ts'
import { listImages } from './image-catalogue.ts'
import { importImage } from './image-import.ts'
import { removeImage } from './image-removal.ts'
import type { ReadyRoots } from './ready-roots.ts'
import { takeUpload, writeUpload } from './uploads.ts'

interface ImageParts {
  config: Config
  readyRoots: Pick<ReadyRoots, 'forget'>
  /** Keeps the file system from being released meanwhile. */
  inUse: <T>(act: () => Promise<T>) => Promise<T>
}

/** What is asked about images. */
export const imageEndpoints = ({ config, readyRoots, inUse }: ImageParts): Endpoint[] => {
  const { names } = config
  const queue = createKeyedQueue()
  /** One import or removal at a time: two of one digest would meet in one draft. */
  const alone = <T>(what: string, change: () => Promise<T>): Promise<T> =>
    queue.run('images', () => operating(what, () => inUse(change)))
  return [
    endpoint(imageImport, ({ path, upload, ...input }, { record }) => {
      const act = (tar: string) =>
        alone(`import ${tar}`, () => importImage(config, { ...input, path: tar }, record))
      if (upload !== undefined) return takeUpload(names, upload, act)
      if (path !== undefined) return act(path)
      throw new Failure('invalid_message', 'cannot import: give a path or an upload')
    }),
    endpoint(imageUpload, ({ data, ...where }) =>
      operating('take a tar', () => writeUpload(names, { ...where, data: Buffer.from(data, 'base64') })),
    ),
    endpoint(imageList, (_, { record }) =>
      operating('list images', () =>
        inUse(async () => {
          await ensureMounted(config, record)
          return { images: await listImages(names) }
        }),
      ),
    ),
    endpoint(imageRemove, ({ reference }, { record }) =>
      alone(`remove image "${reference}"`, async () => {
        await ensureMounted(config, record)
        const removed = await removeImage(names, reference, record)
        for (const digest of removed.deleted) await readyRoots.forget(digest, record)
        return removed
      }),
    ),
  ]
}
