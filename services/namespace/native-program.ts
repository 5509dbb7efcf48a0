import { fileURLToPath } from 'node:url'

/** The static C program that enacts plans, made by `make -C services/namespace/native`. */
export const nativeProgram = fileURLToPath(new URL('native/dolly-init', import.meta.url))
