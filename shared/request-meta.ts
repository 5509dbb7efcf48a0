/** What travels in the headers of a request that belongs to a saga. */
export interface RequestMeta {
  /** Token of the saga's run: a service refuses older ones. */
  fence?: number | undefined
  /** Where the service shall end itself, for a test of what happens then; heeded only where injection is on. */
  inject?: 'before-act' | 'after-act' | 'after-reply' | undefined
}

const names = { fence: 'Dolly-Fence', inject: 'Dolly-Inject' } as const

/** The headers of a request, by name. */
export const metaHeaders = ({ fence, inject }: RequestMeta): Record<string, string> => ({
  ...(fence === undefined ? {} : { [names.fence]: String(fence) }),
  ...(inject === undefined ? {} : { [names.inject]: inject }),
})

/** What a request's headers say; `get` answers an empty string for an absent header. */
export const readMeta = (get: (name: string) => string): RequestMeta => {
  const fence = Number.parseInt(get(names.fence), 10)
  const inject = get(names.inject)
  return {
    ...(Number.isSafeInteger(fence) ? { fence } : {}),
    ...(inject === 'before-act' || inject === 'after-act' || inject === 'after-reply' ? { inject } : {}),
  }
}
