import test from 'ava'
import fc from 'fast-check'
import { cpuWeight, ioWeight } from '../../services/cgroup/weight.ts'

test('cpu.shares become cpu.weight at both ends and at the default', (t) => {
  t.is(cpuWeight(2), 1)
  t.is(cpuWeight(1024), 100)
  t.is(cpuWeight(262_144), 10_000)
})

test('blockIO.weight becomes io.weight at both ends', (t) => {
  t.is(ioWeight(10), 1)
  t.is(ioWeight(1000), 10_000)
})

const translations: [string, (value: number) => number, number, number][] = [
  ['cpu.weight', cpuWeight, 2, 262_144],
  ['io.weight', ioWeight, 10, 1000],
]

for (const [name, translate, min, max] of translations) {
  test(`${name} is a whole number from 1 to 10000 and never falls when more is asked for`, (t) => {
    const value = fc.integer({ min, max })
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [low, high] = [translate(Math.min(a, b)), translate(Math.max(a, b))]
        return Number.isInteger(low) && low >= 1 && high <= 10_000 && low <= high
      }),
      { numRuns: 2000 },
    )
    t.pass()
  })
}
