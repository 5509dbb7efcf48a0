import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { cgroup } from '../../shared/contracts/steps.ts'
import { stepMacro } from '../helpers/step-macro.ts'
import { cgroupRoots, cgroupStack } from './cgroup-stack.ts'

test(stepMacro, 'cgroup', async () => {
  const stack = await cgroupStack()
  return {
    contract: cgroup,
    send: stack.send,
    input: (id) => ({ id, resources: { memory: { limit: 64 * 2 ** 20 }, pids: { limit: 100 } } }),
    inspect: async (id) => stack.directories(id),
    half: async (id) => {
      for (const root of cgroupRoots.filter((_, index) => index % 2 === 0)) {
        const parent = join(root, stack.config.names.cgroupParent)
        mkdirSync(parent, { recursive: true })
        mkdirSync(join(parent, id))
      }
    },
    [Symbol.asyncDispose]: stack[Symbol.asyncDispose],
  }
})
