import { existsSync } from 'node:fs'
import type { Config } from '../../../../shared/config.ts'

/** Whether what a container's node keeps at `path` is within reach of this process: then nothing has to go through the bus. */
export const isHere = ({ node: here }: Pick<Config, 'node'>, node: string, path: string): boolean =>
  node === here && process.geteuid?.() === 0 && existsSync(path)
