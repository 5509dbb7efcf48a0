import { z } from 'zod'

/** Where a list goes on: what the page before answered as `next`. */
export const PageRequest = z.strictObject({ cursor: z.string().max(256).optional() })

/** What a page says beside its items; without `next` it is the last. */
export const Page = z.object({ next: z.string().optional() })
