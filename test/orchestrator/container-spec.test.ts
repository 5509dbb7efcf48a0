import test from 'ava'
import { ContainerCreate } from '../../shared/contracts/container-create.ts'
import type { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import { parseInput } from '../../shared/wire.ts'
import { containerSpec } from '../../services/orchestrator/container-spec.ts'

/** The way of every message: parsed at the edge, then turned into OCI shapes. */
const specOf = (message: object): ContainerSpec =>
  containerSpec(parseInput(ContainerCreate, { image: 'busybox', ...message }), {
    id: '01ABCDEFGHJKMNPQ',
    node: 'n1',
  })

const MiB = 2 ** 20
const translations: [string, object, (spec: ContainerSpec) => unknown, unknown][] = [
  ['image without a tag', {}, (s) => s.image, 'busybox:latest'],
  ['image with a tag', { image: 'library/alpine:3.20' }, (s) => s.image, 'library/alpine:3.20'],
  ['name', { name: 'web.1' }, (s) => s.name, 'web.1'],
  ['no name: the id', {}, (s) => s.name, '01ABCDEFGHJKMNPQ'],
  ['hostname', { hostname: 'dolly' }, (s) => s.hostname, 'dolly'],
  ['no hostname: twelve of the id', {}, (s) => s.hostname, '01ABCDEFGHJK'],
  ['domainname', { domainname: 'lab.local' }, (s) => s.domainname, 'lab.local'],
  ['command as a list', { command: ['a', 'b c'] }, (s) => s.process.args, ['a', 'b c']],
  ['command as a line', { command: 'a "b c"' }, (s) => s.process.args, ['a', 'b c']],
  ['entrypoint as a line', { entrypoint: 'a b' }, (s) => s.process.entrypoint, ['a', 'b']],
  ['no command: the image’s', {}, (s) => s.process.args, undefined],
  [
    'environment as a map',
    { environment: { A: '1', N: 2, B: true, E: '' } },
    (s) => s.process.env,
    ['A=1', 'N=2', 'B=true', 'E='],
  ],
  ['environment as a list', { environment: ['A=1', 'B=x=y'] }, (s) => s.process.env, ['A=1', 'B=x=y']],
  ['environment without a value', { environment: { A: null } }, (s) => s.process.env, []],
  ['environment as a list without a value', { environment: ['HOME', 'A=1'] }, (s) => s.process.env, ['A=1']],
  ['user', { user: '1000:1000' }, (s) => s.process.user, '1000:1000'],
  ['working_dir', { working_dir: '/srv' }, (s) => s.process.cwd, '/srv'],
  ['tty', { tty: true }, (s) => s.process.terminal, true],
  ['stdin_open', { stdin_open: true }, (s) => s.process.stdin, true],
  ['labels', { labels: { class: 'c7', n: 3 } }, (s) => s.labels, { class: 'c7', n: '3' }],
  ['labels as a list', { labels: ['class=c7'] }, (s) => s.labels, { class: 'c7' }],
  [
    'cpus',
    { cpus: 0.5 },
    (s) => s.resources.cpu,
    { period: 100_000, quota: 50_000, shares: undefined, cpus: undefined },
  ],
  ['cpus as text with a period', { cpus: '1.5', cpu_period: 50_000 }, (s) => s.resources.cpu.quota, 75_000],
  ['cpu_quota alone', { cpu_quota: 1000 }, (s) => s.resources.cpu.period, 100_000],
  ['cpu_shares', { cpu_shares: 512 }, (s) => s.resources.cpu.shares, 512],
  ['cpuset', { cpuset: '0-1,3' }, (s) => s.resources.cpu.cpus, '0-1,3'],
  ['mem_limit', { mem_limit: '512M' }, (s) => s.resources.memory.limit, 512 * MiB],
  ['mem_limit 0 is none', { mem_limit: 0 }, (s) => s.resources.memory.limit, undefined],
  ['mem_reservation', { mem_reservation: '1g' }, (s) => s.resources.memory.reservation, 1024 * MiB],
  ['memswap_limit', { mem_limit: '64M', memswap_limit: '128M' }, (s) => s.resources.memory.swap, 128 * MiB],
  ['memswap_limit -1', { memswap_limit: -1 }, (s) => s.resources.memory.swap, -1],
  ['pids_limit', { pids_limit: 64 }, (s) => s.resources.pids.limit, 64],
  ['no pids_limit', {}, (s) => s.resources.pids.limit, 2048],
  ['pids_limit -1', { pids_limit: -1 }, (s) => s.resources.pids.limit, -1],
  [
    'blkio_config',
    {
      blkio_config: {
        weight: 300,
        device_read_bps: [{ path: '/dev/vda', rate: '12mb' }],
        device_write_iops: [{ path: '/dev/vda', rate: 120 }],
      },
    },
    ({ resources: { blockIO } }) => [
      blockIO.weight,
      blockIO.throttleReadBpsDevice,
      blockIO.throttleWriteIOPSDevice,
    ],
    [300, [{ path: '/dev/vda', rate: 12 * MiB }], [{ path: '/dev/vda', rate: 120 }]],
  ],
  [
    'ulimit as a number',
    { ulimits: { nofile: 256 } },
    (s) => s.process.rlimits,
    [{ type: 'RLIMIT_NOFILE', soft: 256, hard: 256 }],
  ],
  [
    'ulimit as a pair',
    { ulimits: { nproc: { soft: 1, hard: -1 } } },
    (s) => s.process.rlimits,
    [{ type: 'RLIMIT_NPROC', soft: 1, hard: -1 }],
  ],
  ['oom_score_adj', { oom_score_adj: -500 }, (s) => s.process.oomScoreAdj, -500],
  ['cap_add', { cap_drop: ['ALL'], cap_add: ['CHOWN'] }, (s) => s.process.capabilities, ['CAP_CHOWN']],
  ['no new privileges unless asked for', {}, (s) => s.process.noNewPrivileges, true],
  ['security_opt', { security_opt: ['no-new-privileges:false'] }, (s) => s.process.noNewPrivileges, false],
  ['read_only', { read_only: true }, (s) => s.readonlyRootfs, true],
  ['tmpfs as text', { tmpfs: '/run' }, (s) => s.tmpfs, ['/run']],
  ['tmpfs as a list', { tmpfs: ['/run', '/tmp:size=1m'] }, (s) => s.tmpfs, ['/run', '/tmp:size=1m']],
  ['shm_size', { shm_size: '1m' }, (s) => s.shmSizeBytes, MiB],
  ['no shm_size', {}, (s) => s.shmSizeBytes, 64 * MiB],
  [
    'sysctls',
    { sysctls: { 'net.core.somaxconn': 1024 } },
    (s) => s.sysctls,
    { 'net.core.somaxconn': '1024' },
  ],
  ['network_mode', { network_mode: 'lab' }, (s) => s.networkMode, 'lab'],
  ['dns', { dns: '8.8.8.8' }, (s) => s.dns, ['8.8.8.8']],
  ['dns_search', { dns_search: ['a', 'b'] }, (s) => s.dnsSearch, ['a', 'b']],
  ['extra_hosts', { extra_hosts: ['db:10.0.0.1'] }, (s) => s.extraHosts, ['db:10.0.0.1']],
  ['stop_signal', { stop_signal: 'SIGUSR1' }, (s) => s.stopSignal, 'SIGUSR1'],
  ['stop_grace_period', { stop_grace_period: '1m30s' }, (s) => s.stopGraceMs, 90_000],
  ['restart', { restart: 'on-failure:3' }, (s) => s.restart, 'on-failure:3'],
  ['start', { start: false }, (s) => s.start, false],
]
for (const [what, message, read, expected] of translations)
  test(`${what} is translated`, (t) => t.deepEqual(read(specOf(message)), expected))

const refusals: [object, RegExp][] = [
  [{ imgae: 'x' }, /^unknown key "imgae", did you mean "image"\?$/],
  [{ memory_limit: '1g' }, /^unknown key "memory_limit"/],
  [{ blkio_config: { wieght: 1 } }, /^unknown key "wieght" in blkio_config/],
  [{ id: 'no/slash' }, /^id: an id has 1 to 64/],
  [{ name: '-x' }, /^name: a name has 1 to 128/],
  [{ name: '01M8KHFAXDT691ERN71S0Q3V5Z' }, /^name: "01M8K.*" is the form of an id, by which only its own/],
  [{ image: 'Upper' }, /^image: an image is named as name\[:tag\]/],
  [{ hostname: 'under_score' }, /^hostname: is a host name/],
  [{ working_dir: 'srv' }, /^working_dir: is an absolute path/],
  [{ mem_limit: 'lots' }, /^mem_limit: is a size in bytes/],
  [{ mem_limit: '1M' }, /^mem_limit: 1M is less than 6M/],
  [{ memswap_limit: '1g' }, /^memswap_limit: 1g is memory and swap together: give mem_limit too/],
  [{ mem_limit: '1g', memswap_limit: '512M' }, /^memswap_limit: .*not less than it/],
  [{ cpus: 0 }, /^cpus: is at least 0.01/],
  [{ cpus: 1, cpu_quota: 1000 }, /^cpus and cpu_quota both limit the processor time: give one/],
  [{ cpuset: 'a-b' }, /^cpuset: is a list of processors/],
  [{ ulimits: { files: 1 } }, /^ulimits.files: not one of as, core/],
  [{ ulimits: { nofile: { soft: 2, hard: 1 } } }, /^ulimits.nofile: soft 2 is above hard 1/],
  [{ ulimits: { nofile: { soft: -1, hard: 1 } } }, /^ulimits.nofile: soft -1 is above hard 1/],
  [{ cap_add: ['FLY'] }, /^cap_add: "FLY" is no capability/],
  [{ security_opt: ['apparmor=x'] }, /^security_opt: "apparmor=x" is not one of no-new-privileges/],
  [{ tmpfs: 'run' }, /^tmpfs: /],
  [{ network_mode: 'bridg' }, /^network_mode: /],
  [{ dns: 'localhost' }, /^dns: /],
  [{ extra_hosts: ['x'] }, /^extra_hosts.0: is a list of "name:address"/],
  [{ stop_signal: 'term' }, /^stop_signal: is a signal/],
  [{ stop_grace_period: 'soon' }, /^stop_grace_period: is a duration/],
  [{ restart: 'sometimes' }, /^restart: is "no", "always"/],
  [{ command: 'echo "open' }, /^command: a quote or backslash at character 6 has no end/],
  [{ environment: ['=x'] }, /^environment.0: is a list of variables/],
  [{ trace: { inject: [{ step: 'x', point: 'never', action: 'fail' }] } }, /^trace.inject.0.point: /],
]
for (const [message, sentence] of refusals)
  test(`${JSON.stringify(message)} is refused in words`, (t) => {
    const error = t.throws(() => specOf(message))
    t.regex(String(error?.message), sentence)
  })
