import type { Config } from '../../shared/config.ts'
import { createRecorder, run } from '../../shared/recorder.ts'
import { startIpBatch } from '../../services/network/ip-batch.ts'

/**
 * A network namespace with a name, and the user namespace that owns it, as the network service makes them;
 * `hostID` is not leased. Disposing removes the name.
 */
export const userNamespaceFor = async ({ names }: Config, id: string, hostID: number) => {
  const batch = startIpBatch(['unshare', '--user', '--net', '--keep-caps'])
  const record = createRecorder()
  await batch.run(record, ['link set dev lo up'])
  const ids = { hostID, size: 65_536 }
  for (const file of ['uid_map', 'gid_map'])
    await record.write(`/proc/${batch.pid}/${file}`, `0 ${ids.hostID} ${ids.size}`)
  await run('ip', ['netns', 'attach', names.netns(id), String(batch.pid)])
  batch.end()
  const path = names.netnsPath(id)
  return {
    networkNamespace: path,
    userNamespace: { ownerOf: path, ...ids },
    [Symbol.asyncDispose]: () => run('ip', ['netns', 'delete', names.netns(id)]),
  }
}
