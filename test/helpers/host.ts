import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bus } from '../../shared/bus.ts'
import { type Config, loadConfig } from '../../shared/config.ts'
import type { Operation } from '../../shared/contracts/contract.ts'
import { createLog } from '../../shared/log.ts'
import { shortHash } from '../../shared/names.ts'
import { createRecorder } from '../../shared/recorder.ts'
import { type HostServiceDefinition, createDispatcher } from '../../shared/service.ts'

/** A configuration of its own in a temporary root; disposing removes the root. */
export const temporaryConfig = async (
  env: Record<string, string> = {},
): Promise<{ config: Config } & AsyncDisposable> => {
  const root = await mkdtemp(join(tmpdir(), 'dolly-test-'))
  const remove = () => rm(root, { recursive: true, force: true })
  try {
    const config = loadConfig({
      DOLLY_ROOT: root,
      DOLLY_NODE: `test-${shortHash(root, 6)}`,
      DOLLY_COWFS_SIZE: '1G',
      DOLLY_LOG_LEVEL: 'silent',
      ...env,
    })
    return { config, [Symbol.asyncDispose]: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** A service without a bus: its own handlers on the real kernel, through the dispatcher every request takes. */
export const hostService = async (config: Config, definition: HostServiceDefinition) => {
  const bus = new Proxy(
    {},
    { get: (_, name) => () => Promise.reject(new Error(`no bus in this test: ${String(name)}`)) },
  ) as Bus
  const base = { config, log: createLog({}, 'silent'), bus }
  await definition.prepare?.({ ...base, record: createRecorder() })
  const dispatch = createDispatcher(definition, base)
  const send = async (verb: string, body: unknown): Promise<unknown> => {
    const outcome = await dispatch(verb, body)
    if ('failure' in outcome) throw outcome.failure
    return 'plain' in outcome ? outcome.plain : outcome.output
  }
  return {
    dispatch,
    send,
    request: async <O extends Operation>(operation: O, body: unknown) =>
      operation.output.parse(await send(operation.verb, body)) as ReturnType<O['output']['parse']>,
  }
}
