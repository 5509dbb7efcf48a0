import * as streams from '../../shared/contracts/streams.ts'
import { verbs } from '../../shared/contracts/verbs.ts'
import { type VerbHandler, type VerbParts, handler } from './verb-handler.ts'

/** A service that answers later than this after a wait has not got the request, or its answer was lost. */
const answerMs = streams.streamWaitMs + 4000

/** The public requests about the streams of containers, handed to the host that has them. */
export const streamVerbs = ({ reach: { ask, placed } }: VerbParts): VerbHandler[] => [
  handler(verbs.containerAttach, async ({ container: reference, ...which }) => {
    const { id, node } = await placed(reference)
    return { id, node, ...(await ask(node, streams.streamAttach, { id, ...which })) }
  }),
  handler(verbs.containerLogs, async ({ container: reference, ...wish }) => {
    const { id, node } = await placed(reference)
    return { id, node, ...(await ask(node, streams.streamLogs, { id, ...wish })) }
  }),
  handler(verbs.streamRead, ({ node, ...input }) => ask(node, streams.streamRead, input, answerMs)),
  handler(verbs.streamWrite, ({ node, ...input }) => ask(node, streams.streamWrite, input, answerMs)),
  handler(verbs.streamResize, ({ node, ...input }) => ask(node, streams.streamResize, input)),
  handler(verbs.streamClose, ({ node, ...input }) => ask(node, streams.streamClose, input)),
]
