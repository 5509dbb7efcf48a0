import { fileURLToPath } from 'node:url'

/** The static C program that enacts plans, made by `make -C services/namespace/native`. */
export const nativeProgram = fileURLToPath(new URL('native/dolly-init', import.meta.url))

/** What keeps a conmon loaded and forks it, made beside it. */
export const preloadedLibrary = fileURLToPath(new URL('native/dolly-zygote.so', import.meta.url))
