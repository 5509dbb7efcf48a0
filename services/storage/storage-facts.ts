import { statfs } from 'node:fs/promises'
import type { NodeFacts } from '../../shared/contracts/node.ts'
import type { Names } from '../../shared/names.ts'
import { listImages } from './image-catalogue.ts'

/** What the copy-on-write file system holds and could hold. */
export const storageFacts = async (names: Names, hasQuota: boolean): Promise<NodeFacts> => {
  const [{ blocks, bavail, bsize }, images] = await Promise.all([statfs(names.cowfs), listImages(names)])
  return {
    capacity: { disk: blocks * bsize },
    use: { disk: (blocks - bavail) * bsize },
    features: { quotas: hasQuota },
    images: images.flatMap(({ digest, tags }) => [...tags, digest]),
  }
}
