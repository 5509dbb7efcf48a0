import type { Leak } from './contracts/operations.ts'

/** Half of what a message of the bus may hold: a thousand containers have more objects than one message. */
const pageBytes = 512 * 1024

interface ObjectPage {
  objects: Leak[]
  /** Where the next page goes on; absent in the last. */
  next?: string | undefined
}

/** An object stays where it is in the order when others come and go. */
const keyOf = ({ kind, name }: Leak): string => `${kind} ${name}`

/** As many of the objects as a message holds, after those up to the cursor; at least one. */
export const pageOfObjects = (objects: readonly Leak[], cursor = ''): ObjectPage => {
  const ordered = objects
    .map((object) => ({ object, key: keyOf(object) }))
    .filter(({ key }) => key > cursor)
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
  const page: Leak[] = []
  let left = pageBytes
  for (const [index, { object }] of ordered.entries()) {
    left -= Buffer.byteLength(JSON.stringify(object)) + 1
    if (left < 0 && page.length > 0) return { objects: page, next: ordered[index - 1]?.key }
    page.push(object)
  }
  return { objects: page }
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
