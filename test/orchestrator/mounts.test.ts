import test from 'ava'
import { volumesOf } from '../../services/cli/commands/launch/mounts.ts'
import { mountsOf } from '../../services/orchestrator/mounts.ts'
import { ContainerCreate } from '../../shared/contracts/container-create.ts'
import { Failure } from '../../shared/failure.ts'

const parsed = (volumes: unknown[]) => mountsOf(ContainerCreate.parse({ image: 'busybox', volumes }).volumes)

test('short and long syntax mean the same mounts, outer ones first', (t) => {
  const { mounts, tmpfs } = parsed([
    'inner:/data/sub/:nocopy',
    { type: 'volume', source: 'data', target: '/data', read_only: true },
    '/srv/labs:/labs:ro',
    { type: 'tmpfs', target: '/run', tmpfs: { size: '64k', mode: 0o755 } },
  ])
  t.deepEqual(mounts, [
    { type: 'volume', source: 'data', destination: '/data', options: ['ro'] },
    { type: 'bind', source: '/srv/labs', destination: '/labs', options: ['ro'] },
    { type: 'volume', source: 'inner', destination: '/data/sub', options: ['nocopy'] },
  ])
  t.deepEqual(tmpfs, ['/run:size=65536,mode=755'])
  const fromFlags = volumesOf(['data:/data:ro'], ['type=bind,src=/srv/labs,dst=/labs,readonly'])
  t.deepEqual(parsed(fromFlags ?? []).mounts, mounts.slice(0, 2))
})

for (const [entry, reason] of [
  ['/data', /^volumes: anonymous volumes are not supported: name it, as "data:\/data"$/],
  ['data:/', /give an absolute path that is not "\/"/],
  ['data:sub', /give an absolute path/],
  ['data:/x/../proc/sys', /\/proc is the container's own/],
  ['data:/dev/shm', /\/dev is the container's own/],
  ['data:/x:rx', /unknown option "rx": there are ro, rw and nocopy/],
  ['data:/x:ro:z', /give it as SOURCE:TARGET\[:ro\]/],
  ['../x:/x', /a path of the host is absolute/],
  ['da ta:/x', /"da ta" is no name of a volume/],
] as const) {
  test(`"${entry}" is refused with what would be right`, (t) => {
    const refused = t.throws(() => parsed([entry]), { instanceOf: Failure })
    t.regex(refused?.message ?? '', reason)
  })
}

test('one place twice is refused', (t) => {
  t.throws(() => parsed(['a:/x', 'b:/x/']), { instanceOf: Failure, message: 'volumes: /x stands twice' })
})
