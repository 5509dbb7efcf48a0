import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../../shared/config.ts'
import { errnoOf } from '../../../shared/failure.ts'
import { run } from '../../../shared/recorder.ts'

const entries = async (directory: string): Promise<string[]> => {
  try {
    return await readdir(directory)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

const cgroups = async (): Promise<string[]> => {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const hierarchies = mounts
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')
  const lists = await Promise.all(
    hierarchies.map(async (path) => (await entries(path)).map((name) => `cgroup ${join(path, name)}`)),
  )
  return lists.flat()
}

const loopDevices = async (): Promise<string[]> => {
  const devices = (await entries('/sys/block')).filter((name) => name.startsWith('loop'))
  const backing = devices.map(async (name) => {
    try {
      return [`loop ${name} ${(await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8')).trim()}`]
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
  })
  return (await Promise.all(backing)).flat()
}

const processes = async (): Promise<string[]> => {
  const pids = (await entries('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const lines = pids.map(async (pid) => {
    try {
      const [words, environment] = await Promise.all(
        ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
      )
      return [`process ${pid} ${words?.replaceAll('\0', ' ')} ${environment?.replaceAll('\0', ' ')}`]
    } catch (error) {
      // It has ended meanwhile, or is one of the machine's own that even root may not look into.
      if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return []
      throw error
    }
  })
  return (await Promise.all(lines)).flat()
}

/** Every mount, link, network namespace, cgroup, loop device, nftables table and process that bears the stack's names, as the kernel lists them. */
export const hostObjects = async ({ root, tag }: Config): Promise<string[]> => {
  const [mounts, links, netns, tables, ...rest] = await Promise.all([
    readFile('/proc/self/mountinfo', 'utf8'),
    entries('/sys/class/net'),
    entries('/run/netns'),
    run('nft', ['list', 'tables']),
    cgroups(),
    loopDevices(),
    processes(),
  ])
  const all = [
    ...mounts.split('\n').map((line) => `mount ${line.split(' ')[4]} ${line}`),
    ...links.map((name) => `link ${name}`),
    ...netns.map((name) => `netns ${name}`),
    ...tables.split('\n'),
    ...rest.flat(),
  ]
  const ours = [root, `dolly-${tag}`, `dolly_${tag}`, `dv${tag}`]
  return all.filter((object) => ours.some((name) => object.includes(name)))
}
