import { readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { findProcesses } from '../../services/cli/stack/process-table.ts'
import type { Config } from '../../shared/config.ts'
import { readMountTable } from '../../shared/mount-table.ts'
import { entriesOf, ifThere, subvolumes } from './kernel-facts.ts'

const directoriesBelow = async (directory: string): Promise<string[]> => {
  const entries = (await ifThere(readdir(directory, { withFileTypes: true }))) ?? []
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name))
  return [...below, ...(await Promise.all(below.map(directoriesBelow))).flat()]
}

const stackCgroups = async ({ names: { cgroupParent } }: Config): Promise<string[]> => {
  const mounts = (await readMountTable()).filter(({ fsType }) => /^cgroup2?$/.test(fsType))
  return (
    await Promise.all(mounts.map(({ mountPoint }) => directoriesBelow(join(mountPoint, cgroupParent))))
  ).flat()
}

/** What each process of the stack runs; pids differ from look to look, and so do those that wait in reserve. */
const stackProcesses = async ({ root, names: { cgroupParent } }: Config): Promise<string[]> => {
  const service = await findProcesses(() => true, [`DOLLY_ROOT=${root}`])
  const named = await findProcesses((args) => args.some((arg) => arg.includes(root)))
  const pids = (await entriesOf('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const inside = await Promise.all(
    pids.map(async (pid) =>
      ((await ifThere(readFile(`/proc/${pid}/cgroup`, 'utf8'))) ?? '').includes(`/${cgroupParent}/`),
    ),
  )
  const all = new Set([...service, ...named].map(({ pid }) => pid))
  for (const [index, pid] of pids.entries()) if (inside[index]) all.add(pid)
  all.delete(process.pid)
  const lines = [...all].map(async (pid) => await ifThere(readFile(`/proc/${pid}/cmdline`, 'utf8')))
  return [
    ...new Set((await Promise.all(lines)).flatMap((line) => (line ? [line.replaceAll('\0', ' ')] : []))),
  ]
}

/** First ids of the ranges that the stack's containers have leased. */
export const idLeasesOf = async ({ names: { idLeases, netnsPrefix } }: Config): Promise<string[]> => {
  const leases = await entriesOf(idLeases)
  const holders = await Promise.all(leases.map((name) => ifThere(readlink(join(idLeases, name)))))
  return leases.filter((_, index) => holders[index]?.startsWith(netnsPrefix)).toSorted()
}

/** Everything under the stack's names on the host, as the kernel lists it, sorted. */
export const hostState = async (config: Config) => {
  const { bridge, vethPrefix, netnsPrefix, cowfs, bundles, exits } = config.names
  const ours = (name: string) => name === bridge || name.startsWith(vethPrefix)
  const [mounts, links, netns, idLeases, cgroups, subvolumeList, files, processes] = await Promise.all([
    readMountTable(),
    entriesOf('/sys/class/net'),
    entriesOf('/run/netns'),
    idLeasesOf(config),
    stackCgroups(config),
    subvolumes(cowfs),
    Promise.all([entriesOf(bundles), entriesOf(exits)]),
    stackProcesses(config),
  ])
  return {
    mounts: mounts
      .map(({ mountPoint }) => mountPoint)
      .filter((path) => path.startsWith(config.root) || path.includes(netnsPrefix))
      .toSorted(),
    links: links.filter(ours).toSorted(),
    netns: netns.filter((name) => name.startsWith(netnsPrefix)).toSorted(),
    idLeases,
    cgroups: cgroups.toSorted(),
    // Roots that are ready are no container's, and one that is used is replaced.
    subvolumes: subvolumeList.filter((path) => !path.startsWith('ready/')).toSorted(),
    files: files.flat().toSorted(),
    processes: processes.toSorted(),
  }
}
