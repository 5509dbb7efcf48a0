import type { Bus } from '../../shared/bus.ts'
import { isUlid } from '../../shared/contracts/identity.ts'
import type { Leak } from '../../shared/contracts/operations.ts'
import { Failure } from '../../shared/failure.ts'
import type { LocalSteps } from './executor.ts'

/** Key-value keys take no `.` at either end, and names no `=`. */
const keyOf = (name: string): string => name.replaceAll('.', '=')

/** Every leased name, as an object of the container that holds it. */
export const nameLeases = async (bus: Bus): Promise<Leak[]> => {
  const entries = await (await bus.bucket('names')).entries()
  return entries.map(({ key, value }) => ({ kind: 'name', name: key.replaceAll('=', '.'), container: value }))
}

interface Named {
  id: string
  name: string
}

/** A container that was given no name is called by its id, which nobody else can be called: there is nothing to lease. */
const isUnnamed = ({ id, name }: Named): boolean => name === id && isUlid(id)

/** Leases a container's name: one key of the `names` bucket, made by compare-and-set. */
export const nameStep = async (bus: Bus): Promise<LocalSteps> => {
  const bucket = await bus.bucket('names')
  return {
    name: {
      do: async ({ id, name }: Named) => {
        if (isUnnamed({ id, name })) return {}
        try {
          await bucket.create(keyOf(name), id)
        } catch (error) {
          const holder = await bucket.get(keyOf(name))
          if (holder?.operation !== 'PUT')
            throw new Failure('unavailable', `cannot lease the name "${name}"`, { cause: error })
          if (holder.string() !== id) {
            throw new Failure('conflict', `the name "${name}" is in use by container ${holder.string()}`, {
              cause: error,
            })
          }
        }
        return {}
      },
      undo: async ({ id, name }: Named) => {
        if (isUnnamed({ id, name })) return
        const holder = await bucket.get(keyOf(name))
        if (holder?.operation === 'PUT' && holder.string() === id)
          await bucket.delete(keyOf(name), { previousSeq: holder.revision })
      },
    },
  }
}
