import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectDirectory } from '../../services/cli/stack/project.ts'
import { masked, readonlyPaths } from '../../services/namespace/restrictions.ts'
import { circumstancesOf, rulesOf } from '../../services/namespace/seccomp/rules.ts'
import { defaultCapabilities, ociCapabilities } from '../../shared/capabilities.ts'
import { SeccompProfile, seccompActions, seccompOperators } from '../../shared/contracts/seccomp.ts'
import { run } from '../../shared/recorder.ts'
import { removeCgroups } from '../bench/cgroup-leftovers.ts'
import { privateNamespaces } from '../bench/private-namespaces.ts'

const profile = join(projectDirectory, 'services/namespace/seccomp/default-profile.json')
const capabilities = ociCapabilities(defaultCapabilities)
const nameOf = (table: Record<string, number>, value: number): string =>
  Object.keys(table).findLast((name) => table[name] === value) ?? ''
const action = (value: number) => ({
  action: nameOf(seccompActions, (value & 0xffff0000) >>> 0),
  ...((value & 0xffff) > 0 ? { errnoRet: value & 0xffff } : {}),
})

/** The default profile as the runtime-spec has it: without conditions, which whoever calls a runtime decides. */
const seccomp = () => {
  const lines = rulesOf(
    SeccompProfile.parse(JSON.parse(readFileSync(profile, 'utf8'))),
    circumstancesOf(capabilities),
  )
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const [, fallback = ''] = lines.find(([kind]) => kind === 'default') ?? []
  const { action: defaultAction, errnoRet } = action(Number(fallback))
  return {
    defaultAction,
    defaultErrnoRet: errnoRet,
    architectures: lines.flatMap(([kind, name = '']) =>
      kind === 'arch' ? [`SCMP_ARCH_${name.toUpperCase()}`] : [],
    ),
    syscalls: lines.flatMap(([kind, number, name, ...conditions]) => {
      if (kind !== 'rule') return []
      const args = []
      for (let at = 0; at < conditions.length; at += 4) {
        const [index = 0, op = 0, value = 0, valueTwo = 0] = conditions.slice(at, at + 4).map(Number)
        args.push({ index, op: nameOf(seccompOperators, op), value, valueTwo })
      }
      return [{ names: [name], ...action(Number(number)), ...(args.length > 0 ? { args } : {}) }]
    }),
  }
}

const mount = (type: string, destination: string, ...options: string[]) => ({
  type,
  source: type,
  destination,
  options,
})

/** What Dolly does for a plain container in the host's user and network namespace, as the runtime-spec says it. */
const configOf = (rootfs: string, cgroup: string, script: string) => ({
  ociVersion: '1.0.2',
  process: {
    terminal: false,
    user: { uid: 0, gid: 0, additionalGids: [2000] },
    args: ['sh', '-c', script],
    env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=dolly',
      'HOME=/root',
    ],
    cwd: '/',
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
      inheritable: [],
      ambient: [],
    },
    noNewPrivileges: true,
    oomScoreAdj: 0,
  },
  root: { path: rootfs, readonly: false },
  hostname: 'dolly',
  mounts: [
    mount('proc', '/proc', 'nosuid', 'noexec', 'nodev'),
    mount('tmpfs', '/dev', 'nosuid', 'noexec', 'strictatime', 'mode=755', 'size=64k'),
    mount('devpts', '/dev/pts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
    mount('tmpfs', '/dev/shm', 'nosuid', 'noexec', 'nodev', 'mode=1777', `size=${1 << 20}`),
    mount('mqueue', '/dev/mqueue', 'nosuid', 'noexec', 'nodev'),
    mount('sysfs', '/sys', 'nosuid', 'noexec', 'nodev', 'ro'),
  ],
  linux: {
    cgroupsPath: `/${cgroup}/x`,
    namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
    maskedPaths: [...masked.directories, ...masked.files],
    readonlyPaths,
    rootfsPropagation: 'private',
    seccomp: seccomp(),
  },
})

/** What the script says in a container that an OCI runtime of the system makes, or why there is none here. */
export const inRuntime = async (
  runtime: string,
  rootfs: string,
  script: string,
): Promise<{ said: string } | { unavailable: string }> => {
  await using stack = new AsyncDisposableStack()
  const cgroup = `dolly-test-${runtime}-${process.pid}`
  const { enter } = stack.use(await privateNamespaces({ network: false }))
  stack.defer(() => removeCgroups(cgroup))
  const bundle = await mkdtemp(join(tmpdir(), `dolly-test-${runtime}-`))
  stack.defer(() => rm(bundle, { recursive: true, force: true }))
  await mkdir(join(bundle, 'state'))
  await writeFile(join(bundle, 'config.json'), JSON.stringify(configOf(rootfs, cgroup, script)))
  const [file = runtime, ...args] = [...enter, runtime, '--root', join(bundle, 'state')]
  try {
    return { said: await run(file, [...args, 'run', '--bundle', bundle, `x-${process.pid}`]) }
  } catch (error) {
    return { unavailable: String(error).slice(0, 500) }
  }
}
