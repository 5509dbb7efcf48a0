import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { storage } from '../../shared/contracts/steps.ts'
import { stepMacro } from '../helpers/step-macro.ts'
import { storageStack } from './storage-stack.ts'

test(stepMacro, 'storage', async () => {
  const stack = await storageStack()
  const { names } = stack.config
  return {
    contract: storage,
    send: stack.send,
    input: (id) => ({ id, image: 'busybox' }),
    inspect: async (id) => {
      const path = names.rootfs(id)
      return existsSync(path) ? [`${path} ${statSync(path).ino}`] : []
    },
    // A plain directory: what a tool that is not btrfs-aware leaves of a restored subvolume.
    half: async (id) => {
      mkdirSync(names.rootfs(id))
      writeFileSync(join(names.rootfs(id), 'left'), '')
    },
    [Symbol.asyncDispose]: stack[Symbol.asyncDispose],
  }
})
