import test from 'ava'
import { ContainerCreate } from '../../shared/contracts/container-create.ts'
import { parseInput } from '../../shared/wire.ts'

for (const [what, message, expected] of [
  ['a missing key', {}, 'image: is missing, must be a string'],
  ['a wrong type', { image: 5 }, 'image: must be a string'],
  ['a wrong type where two are right', { image: 'a', command: 5 }, 'command: must be a string or a list'],
  ['no object', 'create', 'the message: must be an object'],
  ['an unknown key', { image: 'a', comand: [] }, 'unknown key "comand", did you mean "command"?'],
  ['an unknown key further in', { image: 'a', placement: { nod: 'x' } }, 'unknown key "nod" in placement'],
  [
    'a bad size',
    { image: 'a', mem_limit: 'lots' },
    'mem_limit: is a size in bytes, as 1048576, "512M" or "1g"',
  ],
  ['a bad item of a list', { image: 'a', command: ['x', 5] }, 'command.1: must be a string'],
] as const) {
  test(`${what} is told with where and what would be right`, (t) => {
    const error = t.throws(() => parseInput(ContainerCreate, message))
    t.is(error?.message, expected)
  })
}
