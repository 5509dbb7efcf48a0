import { fileURLToPath } from 'node:url'
import { type Coprocess, createCoprocess } from '../../shared/coprocess.ts'

/** The native program that makes network namespaces and deletes links. */
export const createNetnsProgram = (): Coprocess =>
  createCoprocess(fileURLToPath(new URL('native/dolly-netns', import.meta.url)))
