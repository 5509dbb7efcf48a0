import test from 'ava'
import { capabilitySet } from '../../services/orchestrator/capabilities.ts'

const defaults = capabilitySet([], [])

test("the default set is Podman's eleven", (t) => {
  const podman =
    'CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'
  t.deepEqual(
    defaults.toSorted(),
    podman
      .split(' ')
      .map((name) => `CAP_${name}`)
      .toSorted(),
  )
})

test('cap_add adds, with and without prefix and in any case', (t) => {
  for (const name of ['NET_ADMIN', 'CAP_NET_ADMIN', 'net_admin'])
    t.deepEqual(capabilitySet([name], []).toSorted(), [...defaults, 'CAP_NET_ADMIN'].toSorted())
})

test('cap_drop drops, ALL drops everything, and what is added stays', (t) => {
  t.deepEqual(
    capabilitySet([], ['CHOWN']),
    defaults.filter((name) => name !== 'CAP_CHOWN'),
  )
  t.deepEqual(capabilitySet([], ['ALL']), [])
  t.deepEqual(capabilitySet(['NET_BIND_SERVICE'], ['ALL']), ['CAP_NET_BIND_SERVICE'])
})

test('cap_add ALL gives every one, once', (t) => {
  const all = capabilitySet(['ALL', 'CHOWN'], [])
  t.true(all.includes('CAP_SYS_ADMIN'))
  t.is(new Set(all).size, all.length)
})

test('what is added and dropped is dropped, however it is written', (t) => {
  t.deepEqual(capabilitySet(['CAP_NET_ADMIN'], ['net_admin']), defaults)
  t.false(capabilitySet(['ALL'], ['SYS_ADMIN']).includes('CAP_SYS_ADMIN'))
})

test('an unknown capability is named with its key', (t) => {
  t.throws(() => capabilitySet(['FLY'], []), {
    message: 'cap_add: "FLY" is no capability; see capabilities(7)',
  })
  t.throws(() => capabilitySet([], ['CAP_FLY']), {
    message: 'cap_drop: "CAP_FLY" is no capability; see capabilities(7)',
  })
})
