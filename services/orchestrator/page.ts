import { firstPage } from '../../shared/page.ts'

interface Listed {
  id: string
  createdAt: string
}

/** Newest first; what was made in the same millisecond by its id. A key stays where it is when others come and go. */
const keyOf = ({ createdAt, id }: Listed): string => `${createdAt} ${id}`

interface Asked<T, S> {
  cursor?: string | undefined
  show: (item: T) => S
}

/** As many of the items, newest first, as a message holds, after those up to the cursor; at least one. */
export const pageOf = <T extends Listed, S>(items: readonly T[], { cursor, show }: Asked<T, S>) => {
  const ordered = items
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => cursor === undefined || key < cursor)
    .toSorted((a, b) => (a.key < b.key ? 1 : -1))
  return firstPage(ordered, show)
}
