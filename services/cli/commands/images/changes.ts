import type { ImageConfig } from '../../../../shared/contracts/oci.ts'
import { Failure } from '../../../../shared/failure.ts'

const words = (text: string): string[] => {
  if (!text.startsWith('[')) return ['/bin/sh', '-c', text]
  try {
    const parsed: unknown = JSON.parse(text)
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === 'string')) return parsed
  } catch {
    // what is wrong is said below
  }
  throw new Failure('invalid_message', `cannot use ${text}: give a JSON list of strings`)
}

const instructions: Record<string, (config: ImageConfig, value: string) => ImageConfig> = {
  CMD: (config, value) => ({ ...config, Cmd: words(value) }),
  ENTRYPOINT: (config, value) => ({ ...config, Entrypoint: words(value) }),
  ENV: (config, value) => ({ ...config, Env: [...(config.Env ?? []), value] }),
  WORKDIR: (config, value) => ({ ...config, WorkingDir: value }),
  USER: (config, value) => ({ ...config, User: value }),
  STOPSIGNAL: (config, value) => ({ ...config, StopSignal: value }),
}

/** The image configuration that Dockerfile instructions mean, as `docker import --change` takes them. Throws `Failure`. */
export const configOf = (changes: readonly string[]): ImageConfig =>
  changes.reduce<ImageConfig>((config, change) => {
    const [, name = '', value = ''] = /^\s*(\w+)\s+(.+)$/s.exec(change) ?? []
    const instruction = instructions[name.toUpperCase()]
    if (instruction) return instruction(config, value.trim())
    const known = Object.keys(instructions).join(', ')
    throw new Failure(
      'invalid_message',
      `cannot use --change "${change.slice(0, 64)}": give one of ${known} with a value`,
    )
  }, {})
