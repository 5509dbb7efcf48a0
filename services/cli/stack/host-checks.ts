import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { Failure, errnoOf, reasonOf } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'
import { closedAbove } from './checkout.ts'
import { kernelChecks } from './kernel-checks.ts'
import { findNatsServer } from './nats-binary.ts'
import { projectDirectory } from './project.ts'

/** One thing that Dolly asks of a host. */
export interface HostCheck {
  name: string
  ok: boolean
  /** What is there, in words. */
  found: string
  wanted: string
  /** Whether the stack can do without. */
  optional?: boolean
}

const leastFreeBytes = 2 ** 30

const tools = [
  { name: 'btrfs', args: ['--version'], wanted: 'btrfs-progs' },
  { name: 'mkfs.btrfs', args: ['--version'], wanted: 'btrfs-progs' },
  { name: 'ip', args: ['-V'], wanted: 'iproute2' },
  { name: 'nft', args: ['--version'], wanted: 'nftables' },
  { name: 'conmon', args: ['--version'], wanted: 'conmon' },
] as const

const toolCheck = async ({ name, args, wanted }: (typeof tools)[number]): Promise<HostCheck> => {
  try {
    const [line = ''] = (await run(name, args, { timeoutMs: 5000 })).split('\n')
    return { name, ok: true, found: line.trim() || 'there', wanted: `package ${wanted}` }
  } catch (error) {
    const absent = error instanceof Failure && error.details['exitCode'] === null
    return { name, ok: false, found: absent ? 'absent' : reasonOf(error), wanted: `package ${wanted}` }
  }
}

const busyboxCheck = async (): Promise<HostCheck> => {
  const check = { name: 'busybox', wanted: 'package busybox-static' }
  try {
    // A dynamic program names its loader near the beginning of the file.
    const isStatic = !(await readFile('/bin/busybox')).subarray(0, 65_536).includes('/ld-')
    return { ...check, ok: isStatic, found: `/bin/busybox, ${isStatic ? 'static' : 'not static'}` }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return { ...check, ok: false, found: 'absent' }
  }
}

const natsCheck = async (): Promise<HostCheck> => {
  const check = { name: 'nats-server', wanted: '2.12 or newer' }
  try {
    const { path, version } = await findNatsServer()
    return { ...check, ok: true, found: `${version} in ${path}` }
  } catch (error) {
    return { ...check, ok: false, found: reasonOf(error) }
  }
}

const initCheck = async (): Promise<HostCheck> => {
  const path = join(projectDirectory, 'services/namespace/native/dolly-init')
  const ok = await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
  return { name: 'dolly-init', ok, found: ok ? path : 'not built', wanted: 'built by "make setup"' }
}

const nearestDirectory = async (path: string): Promise<string> => {
  try {
    await stat(path)
    return path
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || path === '/') throw error
    return nearestDirectory(dirname(path))
  }
}

const spaceCheck = async ({ root }: Config): Promise<HostCheck> => {
  const { bavail, bsize } = await statfs(await nearestDirectory(root))
  const free = bavail * bsize
  return {
    name: 'free space',
    ok: free >= leastFreeBytes,
    found: `${(free / 2 ** 30).toFixed(1)} GiB for ${root}`,
    wanted: '1 GiB or more',
  }
}

const rootCheck = async (): Promise<HostCheck> => {
  const uid = process.getuid?.() ?? -1
  return { name: 'root', ok: uid === 0, found: `user id ${uid}`, wanted: 'user id 0' }
}

/** Programs that keep no capability find their files there, or are given one for it, which units of systemd are not. */
const checkoutCheck = async (): Promise<HostCheck> => {
  const closed = closedAbove(join(projectDirectory, 'services'))
  return {
    name: 'checkout',
    ok: closed === undefined,
    optional: true,
    found: closed === undefined ? projectDirectory : `below ${closed}, which only its owner may enter`,
    wanted: 'where everyone may enter, as below /opt',
  }
}

const forwardingCheck = async (): Promise<HostCheck> => {
  const value = (await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8')).trim()
  return {
    name: 'ip_forward',
    ok: true,
    optional: true,
    found: value === '1' ? 'on' : 'off',
    wanted: 'on; the network service sees to it while it runs',
  }
}

/** What `dolly doctor` shows of the host, and what `dolly up` asks of it; changes nothing. */
export const hostChecks = async (config: Config): Promise<HostCheck[]> =>
  (
    await Promise.all([
      rootCheck(),
      kernelChecks(),
      ...tools.map(toolCheck),
      busyboxCheck(),
      ...(config.natsUrl ? [] : [natsCheck()]),
      initCheck(),
      spaceCheck(config),
      checkoutCheck(),
      forwardingCheck(),
    ])
  ).flat()

/** Throws `Failure` (`host_unfit`) with a sentence for each thing the host lacks. */
export const requireFitHost = async (config: Config): Promise<void> => {
  const lacking = (await hostChecks(config)).filter(({ ok, optional }) => !ok && !optional)
  if (lacking.length === 0) return
  const sentences = lacking.map(({ name, found, wanted }) => `${name} is ${found}, wanted is ${wanted}`)
  throw new Failure(
    'host_unfit',
    `cannot run on this host: ${sentences.join('; ')}; "make setup" installs what is missing`,
    { details: { lacking } },
  )
}
