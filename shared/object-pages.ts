import type { Leak } from './contracts/operations.ts'
import { firstPage } from './page.ts'

interface ObjectPage {
  objects: Leak[]
  /** Where the next page goes on; absent in the last. */
  next?: string | undefined
}

/** An object stays where it is in the order when others come and go. */
const keyOf = ({ kind, name }: Leak): string => `${kind} ${name}`

/**
 * As many of the objects as a message holds, after those up to the cursor; at least one. A thousand containers have
 * more than one message.
 */
export const pageOfObjects = (objects: readonly Leak[], cursor = ''): ObjectPage => {
  const ordered = objects
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => key > cursor)
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
  const { page, next } = firstPage(ordered, (object) => object)
  return { objects: page, next }
}

/** The objects of every page. Throws as `ask` does. */
export const everyObject = async (
  ask: (input: { cursor?: string | undefined }) => Promise<ObjectPage>,
): Promise<Leak[]> => {
  const pages = [await ask({})]
  for (let next = pages[0]?.next; next !== undefined; next = pages.at(-1)?.next)
    pages.push(await ask({ cursor: next }))
  return pages.flatMap(({ objects }) => objects)
}
