import { Command } from 'commander'
import test from 'ava'
import { type ContainerFlags, addContainerFlags } from '../../services/cli/commands/launch/container-flags.ts'
import { createMessage } from '../../services/cli/commands/launch/message.ts'
import { Failure } from '../../shared/failure.ts'

const parse = (...args: string[]) => {
  const command = addContainerFlags(
    new Command().enablePositionalOptions().helpOption('--help').exitOverride(),
  )
  command.configureOutput({ outputError: () => {} })
  let message: unknown
  command.action((image: string, words: string[], flags: ContainerFlags) => {
    message = createMessage(flags, { image, command: words, environment: flags.env ?? [], start: true })
  })
  command.parse(args, { from: 'user' })
  return message
}

test('an image alone is the smallest message', (t) => {
  t.deepEqual(parse('busybox'), { image: 'busybox' })
})

test("what follows the image is the container's command, flags included", (t) => {
  t.deepEqual(parse('--name', 'a', 'busybox', 'ls', '-l', '--name', '--', 'b'), {
    name: 'a',
    image: 'busybox',
    command: ['ls', '-l', '--name', '--', 'b'],
  })
})

test('the flags of the lab become Compose attributes', (t) => {
  const words =
    '--name dolly -h dolly -i -t --cpu-period 100000 --cpu-quota 1000 -m 512M --ulimit nofile=256 --ulimit nproc=512:1024 --dns 8.8.8.8 alpine sh'
  const message = parse(...words.split(' '))
  t.deepEqual(message, {
    name: 'dolly',
    hostname: 'dolly',
    stdin_open: true,
    tty: true,
    cpu_period: 100_000,
    cpu_quota: 1000,
    mem_limit: '512M',
    ulimits: { nofile: 256, nproc: { soft: 512, hard: 1024 } },
    dns: ['8.8.8.8'],
    image: 'alpine',
    command: ['sh'],
  })
})

const flags: [args: string[], expected: object][] = [
  [['--id', 'web-1'], { id: 'web-1' }],
  [['-e', 'A=1', '-e', 'B='], { environment: ['A=1', 'B='] }],
  [['-w', '/srv'], { working_dir: '/srv' }],
  [['-u', '1000:1000'], { user: '1000:1000' }],
  [['--memory-swap', '1g'], { memswap_limit: '1g' }],
  [['--memory-swap', '-1'], { memswap_limit: -1 }],
  [['--memory-reservation', '64m'], { mem_reservation: '64m' }],
  [['--cpus', '1.5'], { cpus: 1.5 }],
  [['--cpu-shares', '512'], { cpu_shares: 512 }],
  [['--cpuset-cpus', '0-1'], { cpuset: '0-1' }],
  [['--pids-limit', '-1'], { pids_limit: -1 }],
  [['--blkio-weight', '300'], { blkio_config: { weight: 300 } }],
  [['--oom-score-adj', '-5'], { oom_score_adj: -5 }],
  [['--ulimit', 'core=-1:-1'], { ulimits: { core: -1 } }],
  [['--domainname', 'lab'], { domainname: 'lab' }],
  [['--network', 'none'], { network_mode: 'none' }],
  [['--entrypoint', '/bin/echo'], { entrypoint: ['/bin/echo'] }],
  [['--entrypoint', ''], { entrypoint: [] }],
  [['-l', 'a=b=c', '--label', 'lone'], { labels: { a: 'b=c', lone: '' } }],
  [['--dns-search', 'lab.test'], { dns_search: ['lab.test'] }],
  [['--add-host', 'db:10.0.0.2'], { extra_hosts: ['db:10.0.0.2'] }],
  [['--read-only', '--tmpfs', '/run:size=1m'], { read_only: true, tmpfs: ['/run:size=1m'] }],
  [['--shm-size', '8m'], { shm_size: '8m' }],
  [['--sysctl', 'net.ipv4.ip_forward=1'], { sysctls: { 'net.ipv4.ip_forward': '1' } }],
  [['--cap-add', 'NET_ADMIN', '--cap-drop', 'ALL'], { cap_add: ['NET_ADMIN'], cap_drop: ['ALL'] }],
  [['--security-opt', 'no-new-privileges'], { security_opt: ['no-new-privileges'] }],
  [['--stop-signal', 'SIGINT', '--stop-timeout', '3'], { stop_signal: 'SIGINT', stop_grace_period: '3s' }],
  [['--restart', 'on-failure:3'], { restart: 'on-failure:3' }],
]

for (const [args, expected] of flags) {
  test(`${args.map((word) => word || "''").join(' ')} becomes ${Object.keys(expected).join(' and ')}`, (t) => {
    t.deepEqual(parse(...args, 'busybox'), { ...expected, image: 'busybox' })
  })
}

const refused: [args: string[], says: RegExp][] = [
  [['--ulimit', 'nofile'], /cannot use --ulimit "nofile"/],
  [['-m', 'much'], /mem_limit: .*"512M"/],
  [['-w', 'here'], /working_dir: .*absolute/],
  [['--network', 'moon'], /network_mode/],
  [['--add-host', 'db'], /extra_hosts/],
  [['--restart', 'sometimes'], /restart: is "no"/],
  [['--name', 'a b'], /a name has/],
]

for (const [args, says] of refused) {
  test(`${args.join(' ')} is refused with what would be right`, (t) => {
    const error = t.throws(() => parse(...args, 'busybox'), { instanceOf: Failure, message: says })
    t.is(error.code, 'invalid_message')
  })
}

test('a number that is none is refused by name', (t) => {
  t.throws(() => parse('--cpus', 'two', 'busybox'), { message: /--cpus.*not a number/ })
})
