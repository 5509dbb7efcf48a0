import { fileURLToPath } from 'node:url'
import { createCoprocess, errnoWords } from '../../shared/coprocess.ts'
import { Failure } from '../../shared/failure.ts'
import { shortHash } from '../../shared/names.ts'
import type { Recorder } from '../../shared/recorder.ts'
import { deviceProgram } from './device-program.ts'
import { defaultDeviceRules } from './device-rules.ts'

/** Loads and attaches: bpf(2) has no file to write to. */
const program = createCoprocess(fileURLToPath(new URL('native/dolly-devices', import.meta.url)))

const instructions = deviceProgram(defaultDeviceRules).toString('hex')
/** At most 15 characters, and others for other rules: the program that is attached already is known by it. */
const name = `dolly_${shortHash(instructions, 8)}`

/** Starts the program that attaches. Throws `Failure` (`host_unfit`) when it is not built. */
export const prepareDeviceFilters = (): void => program.start()

/**
 * Denies a v2 cgroup every device but the default ones, by a program that goes with the cgroup; does nothing
 * where it is attached. Throws `Failure` (`limit_refused`): a container without it would have the host's disks.
 */
export const filterDevices = (record: Recorder, directory: string): Promise<void> =>
  record.call(`bpftool cgroup attach ${directory} cgroup_device name ${name} multi`, async () => {
    const { errno } = await program.ask(['attach', directory, name, instructions])
    if (errno === 0) return
    const reason = errnoWords(errno).join(': ')
    throw new Failure('limit_refused', `cannot restrict devices in ${directory}: ${reason}`)
  })
