import test, { type ExecutionContext } from 'ava'
import { ulid } from 'ulid'
import { askPages } from '../../services/cli/commands/bus/ask.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { type ContainerClient, containerClient, containerFor } from '../helpers/container-client.ts'
import { type Stack, startStack } from '../helpers/stack.ts'

let stack: Stack
let client: ContainerClient

test.before(async () => {
  stack = await startStack()
  client = await containerClient(stack.config)
})
test.after.always(async () => {
  await client?.[Symbol.asyncDispose]()
  await stack?.[Symbol.asyncDispose]()
})

interface Wanted {
  code: string
  /** What the reason says: where it is, what is wrong, what would be right. */
  says: RegExp
  /** The step that failed; without one the create was never begun. */
  step?: string
}

const base = { image: 'busybox', command: ['sleep', '1000'] }

const refused = test.macro(async (t: ExecutionContext, message: object, { code, says, step }: Wanted) => {
  const id = ulid()
  const whole = { id, ...base, ...message }
  const { type, subject, data } = await client.tryCreate(whole)
  t.log(`${type}: ${String(data['reason'])}`)
  t.is(type, step ? 'container.failed' : 'container.rejected')
  if (whole.id === id) t.is(subject, id)
  t.is(data['code'], code)
  t.regex(String(data['reason']), says)
  t.notRegex(String(data['reason']), /\n/, 'one line')
  t.is(data['step'], step)
  t.deepEqual(await client.leaks(), [])
})

/** Labels of as many bytes together. */
const labelsOf = (bytes: number) => {
  const count = Math.ceil(bytes / 100_000)
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`l${index}`, 'x'.repeat(bytes / count)]),
  )
}

const cases: [string, object, Wanted][] = [
  ['an unknown image', { image: 'nowhere' }, { step: 'storage', code: 'image_not_found', says: /nowhere/ }],
  ['no image', { image: undefined }, { code: 'invalid_message', says: /^image: / }],
  ['an image name of a wrong form', { image: '../etc' }, { code: 'invalid_message', says: /name\[:tag\]/ }],
  ['a bad name', { name: '-dash' }, { code: 'invalid_message', says: /^name: a name has 1 to 128 of/ }],
  ['a bad id', { id: '../..' }, { code: 'invalid_message', says: /^id: an id has 1 to 64 of/ }],
  [
    'an unknown key',
    { mem_limits: '1G' },
    { code: 'invalid_message', says: /unknown key "mem_limits", did you mean "mem_limit"\?/ },
  ],
  ['a wrong type', { cpu_quota: '1000' }, { code: 'invalid_message', says: /^cpu_quota: .*number/ }],
  ['a size that is none', { mem_limit: 'much' }, { code: 'invalid_message', says: /"512M"/ }],
  ['too little memory', { mem_limit: '1M' }, { code: 'invalid_message', says: /mem_limit: 1M is less than/ }],
  [
    'a privileged container where none is allowed',
    { privileged: true },
    {
      code: 'not_permitted',
      says: /privileged container .*: it would be root of the host; DOLLY_ALLOW_PRIVILEGED=on/,
    },
  ],
  [
    'a capability that makes it root of the host, where none is allowed',
    { userns_mode: 'host', cap_add: ['NET_RAW', 'SYS_MODULE'] },
    {
      code: 'not_permitted',
      says: /^cannot give CAP_SYS_MODULE to container .* in the host's user namespace: it would be root of the host/,
    },
  ],
  [
    'the same in the lab’s container',
    { network_mode: 'lab', cap_add: ['ALL'] },
    { code: 'not_permitted', says: /^cannot give CAP_DAC_READ_SEARCH to container / },
  ],
  [
    'ids of its own in the lab’s container',
    { network_mode: 'lab', userns_mode: 'auto' },
    { code: 'unsupported', says: /^userns_mode: network_mode "lab" means the user namespace of the host/ },
  ],
  [
    'a seccomp profile by its path',
    { security_opt: ['seccomp=/etc/passwd'] },
    { code: 'invalid_message', says: /is no profile: give "unconfined" or the text of a profile/ },
  ],
  ['an unknown ulimit', { ulimits: { files: 1 } }, { code: 'invalid_message', says: /nofile/ }],
  [
    'a processor that is not there',
    { cpuset: '4000' },
    { step: 'cgroup', code: 'limit_refused', says: /cpu\.cpus to .*4000.*allowed: a list out of 0-/ },
  ],
  [
    'a quota the kernel refuses',
    { cpu_period: 100_000, cpu_quota: 10 },
    { step: 'cgroup', code: 'limit_refused', says: /cpu\.quota to 10.*1000 microseconds or more/ },
  ],
  [
    'more files than the kernel allows',
    { ulimits: { nofile: 1_073_741_817 } },
    { step: 'namespace', code: 'limit_refused', says: /nofile.*1073741817/i },
  ],
  [
    'a command that does not exist',
    { command: ['no-such-command'] },
    { step: 'namespace', code: 'command_not_found', says: /cannot run "no-such-command".*PATH/ },
  ],
  [
    'a path that does not exist',
    { command: ['/no/such/file'] },
    { step: 'namespace', code: 'command_not_found', says: /cannot run "\/no\/such\/file".*no such file/ },
  ],
  [
    'a command that cannot run',
    { command: ['/etc/passwd'] },
    {
      step: 'namespace',
      code: 'command_not_executable',
      says: /cannot run "\/etc\/passwd".*not an executable/,
    },
  ],
  [
    'a directory as the command',
    { command: ['/etc'] },
    { step: 'namespace', code: 'command_not_executable', says: /cannot run "\/etc"/ },
  ],
  ['an unknown user', { user: 'nobody-here' }, { step: 'namespace', code: 'not_found', says: /nobody-here/ }],
  [
    'an unknown kernel parameter',
    { sysctls: { 'net.no.such': '1' } },
    { step: 'namespace', code: 'limit_refused', says: /net.no.such/ },
  ],
  [
    'a specification that messages of the bus cannot hold',
    { labels: labelsOf(400 * 1024) },
    { code: 'limit_refused', says: /has 4\d{5} bytes as JSON: at most 393216 are taken/ },
  ],
  [
    'a specification almost as large as a message of the bus',
    { labels: labelsOf(1_040_000) },
    { code: 'limit_refused', says: /has 10\d{5} bytes as JSON: at most 393216 are taken/ },
  ],
  ['a quote without an end', { command: 'echo "x' }, { code: 'invalid_message', says: /quote/ }],
  [
    'two limits that contradict',
    { cpus: 1, cpu_quota: 1000 },
    { code: 'invalid_message', says: /cpus and cpu_quota/ },
  ],
]

for (const [what, message, wanted] of cases)
  test.serial(`${what} is refused in one line and leaves nothing`, refused, message, wanted)

test.serial('what is refused is quoted in part where it is long', async (t) => {
  for (const [message, says] of [
    [{ ulimits: { ['k'.repeat(600_000)]: 'bad' } }, /^ulimits\.k{192}…: /],
    [{ ['k'.repeat(600_000)]: 1 }, /^unknown key "k{64}"$/],
    [{ image: 'x'.repeat(900_000) }, /^image: /],
  ] as const) {
    const { type, data } = await client.tryCreate({ id: ulid(), ...base, ...message })
    t.is(type, 'container.rejected')
    t.regex(String(data['reason']), says)
    t.true(JSON.stringify(data).length < 8192)
  }
})

test.serial('the largest specification that is taken runs, and is in the list', async (t) => {
  const { id } = await containerFor(t, client, { labels: labelsOf(380 * 1024) })
  const pages = await askPages(client.bus, verbs.containerList, {})
  t.true(pages.some(({ containers }) => containers.some((container) => container.id === id)))
  t.is((await client.exec(id, ['true'])).exitCode, 0)
})

test.serial('a create that failed can be repeated once it is right', async (t) => {
  const id = ulid()
  const wrong = await client.tryCreate({ id, name: 'again', ...base, command: ['no-such-command'] })
  t.is(wrong.type, 'container.failed')
  const { status } = await containerFor(t, client, { id, name: 'again' })
  t.is(status, 'running')
})

test.serial('exec of what does not exist says so, and the container lives', async (t) => {
  const { id } = await containerFor(t, client)
  await t.throwsAsync(client.exec(id, ['no-such-command']), { code: 'command_not_found' })
  await t.throwsAsync(client.exec(id, ['/etc/passwd']), { code: 'command_not_executable' })
  t.is((await client.exec(id, ['true'])).exitCode, 0)
})
