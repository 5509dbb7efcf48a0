import { z } from 'zod'
import { Container, ContainerStatus } from './container.ts'
import { ContainerCreate, ContainerDelete } from './container-create.ts'
import { longestWaitMs } from './quantity.ts'
import { NodeName } from './identity.ts'
import { RoleRequest } from './join.ts'
import { Node } from './node.ts'
import { Page, PageRequest } from './page.ts'
import { Image, Volume } from './operations.ts'
import * as host from './operations.ts'
import * as streams from './streams.ts'

/** A public request: `<kind>.<verb>`, answered by any orchestrator. */
export interface Verb<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> {
  subject: string
  input: In
  output: Out
  /** Who may ask it; an operator may ask everything. */
  role: 'client' | 'operator'
  /** Asked twice it does no more than once (RFC 9110, section 9.2.2): it is asked again when the answer is lost. */
  idempotent: boolean
}

const verb = <In extends z.ZodType, Out extends z.ZodType>(
  subject: string,
  input: In,
  output: Out,
): Verb<In, Out> => ({ subject, input, output, role: 'client', idempotent: false })

/** One that changes a host or gives up a saga, or shows what nobody else needs. */
const operatorVerb = <In extends z.ZodType, Out extends z.ZodType>(
  subject: string,
  input: In,
  output: Out,
): Verb<In, Out> => ({ subject, input, output, role: 'operator', idempotent: false })

const idempotent = <V extends Verb>(one: V): V => ({ ...one, idempotent: true })

const SagaSummary = z.object({
  id: z.string(),
  name: z.string(),
  node: z.string(),
  status: ContainerStatus,
  error: Container.shape.error,
  leaked: Container.shape.leaked,
  sequence: z.number(),
})

/** A container by its id, its name or an unambiguous beginning of its id. */
const container = z.string().min(1).max(128)
const Target = z.strictObject({ container })
/** The node is named: to look the container up in the log for each piece would take longer than the piece. */
const ofStream = <Shape extends z.ZodRawShape>(input: z.ZodObject<Shape>) =>
  input.extend({ node: NodeName }).strict()

export const verbs = {
  containerGet: idempotent(verb('container.get', Target, Container)),
  containerList: idempotent(
    verb(
      'container.list',
      PageRequest.extend({ all: z.boolean().default(false) }),
      Page.extend({ containers: z.array(Container.omit({ steps: true })) }),
    ),
  ),
  /** Readies one that has ended for its next start, as `podman init`: who attaches before it misses nothing. */
  containerInit: verb('container.init', Target, Container),
  containerStart: verb('container.start', Target, Container),
  containerStop: verb(
    'container.stop',
    Target.extend({
      timeoutMs: z.number().int().nonnegative().max(longestWaitMs).optional(),
      signal: z.string().optional(),
    }),
    Container,
  ),
  containerKill: verb('container.kill', Target.extend({ signal: z.string().default('SIGKILL') }), Container),
  containerPause: verb('container.pause', Target, Container),
  containerUnpause: verb('container.unpause', Target, Container),
  containerExec: verb(
    'container.exec',
    host.processExec.input.omit({ id: true }).extend({ container }).strict(),
    host.processExec.output.extend({ id: z.string(), node: z.string() }),
  ),
  containerExecStart: verb(
    'container.exec-start',
    Target.extend({ execId: z.string() }),
    host.execStart.output,
  ),
  containerExecWait: verb(
    'container.exec-wait',
    Target.extend({ execId: z.string(), timeoutMs: z.number().int().positive().max(longestWaitMs) }),
    host.execWait.output,
  ),
  containerCopy: verb(
    'container.copy',
    z.discriminatedUnion('direction', [
      host.CopyOut.extend({ container }),
      host.CopyIn.extend({ container }),
    ]),
    host.processCopy.output.extend({ id: z.string(), node: z.string() }),
  ),
  /** Opens the standard streams of the container, or of an exec or copy in it; what follows names the stream and its node. */
  containerAttach: verb(
    'container.attach',
    Target.extend({ execId: z.string().optional() }),
    streams.streamAttach.output.extend({ id: z.string(), node: NodeName }),
  ),
  containerLogs: verb(
    'container.logs',
    streams.streamLogs.input.omit({ id: true }).extend({ container }).strict(),
    streams.streamLogs.output.extend({ id: z.string(), node: NodeName }),
  ),
  streamRead: verb('container.stream-read', ofStream(streams.streamRead.input), streams.streamRead.output),
  streamWrite: verb(
    'container.stream-write',
    ofStream(streams.streamWrite.input),
    streams.streamWrite.output,
  ),
  streamResize: verb('container.resize', ofStream(streams.streamResize.input), streams.streamResize.output),
  streamClose: verb(
    'container.stream-close',
    ofStream(streams.streamClose.input),
    streams.streamClose.output,
  ),
  /** Reads a file of the host, as root. */
  imageImport: operatorVerb(
    'image.import',
    host.imageImport.input.extend({ node: NodeName.optional() }).strict(),
    Image,
  ),
  imageUpload: operatorVerb(
    'image.upload',
    host.imageUpload.input.extend({ node: NodeName }).strict(),
    host.imageUpload.output,
  ),
  imageList: idempotent(
    verb('image.list', z.strictObject({ node: NodeName.optional() }), host.imageList.output),
  ),
  imageRemove: operatorVerb(
    'image.rm',
    host.imageRemove.input.extend({ node: NodeName.optional() }).strict(),
    host.imageRemove.output,
  ),
  volumeCreate: verb(
    'volume.create',
    host.volumeCreate.input.extend({ node: NodeName.optional() }).strict(),
    Volume,
  ),
  volumeList: idempotent(
    verb('volume.list', z.strictObject({ node: NodeName.optional() }), host.volumeList.output),
  ),
  volumeInspect: idempotent(
    verb('volume.inspect', host.volumeInspect.input.extend({ node: NodeName.optional() }).strict(), Volume),
  ),
  volumeRemove: verb(
    'volume.rm',
    host.volumeRemove.input.extend({ node: NodeName.optional() }).strict(),
    host.volumeRemove.output,
  ),
  sagaList: idempotent(
    verb(
      'saga.list',
      PageRequest.extend({ all: z.boolean().default(false) }),
      Page.extend({ sagas: z.array(SagaSummary) }),
    ),
  ),
  sagaShow: idempotent(
    operatorVerb(
      'saga.show',
      Target,
      z.object({
        id: z.string(),
        records: z.array(
          z.object({
            sequence: z.number(),
            time: z.string().nullable(),
            type: z.string(),
            data: z.unknown(),
          }),
        ),
      }),
    ),
  ),
  /** Undoes a stuck saga again, from what is left. */
  sagaRetry: operatorVerb('saga.retry', Target, SagaSummary),
  /** Leaves one resource of a stuck saga as it is and undoes the rest. */
  sagaSkip: operatorVerb('saga.skip', Target.extend({ step: z.string() }), SagaSummary),
  /** Gives a stuck saga up: what is left stays on the host, and the log says that it was left. */
  sagaAbort: operatorVerb('saga.abort', Target, SagaSummary),
  /** Makes the projection of all containers anew from the log. */
  sagaRebuild: operatorVerb('saga.rebuild', z.strictObject({}), z.object({ containers: z.number() })),
  /** Removes what a host keeps of a container that the log does not know: only ever on an operator's word. */
  nodeClean: operatorVerb(
    'node.clean',
    Target.extend({ node: NodeName.optional() }),
    z.object({ removed: z.array(z.string()) }),
  ),
  nodeList: idempotent(verb('node.list', z.strictObject({}), z.object({ nodes: z.array(Node) }))),
  nodeGet: idempotent(verb('node.get', z.strictObject({ node: NodeName }), Node)),
  /** Takes a node out that has no containers; one whose services answer only with `force`. */
  nodeRemove: operatorVerb(
    'node.rm',
    z.strictObject({ node: NodeName, force: z.boolean().default(false) }),
    z.object({ removed: NodeName }),
  ),
  /** Gives the root of a node that has joined an operator's rights, or takes them back; what is so already succeeds. */
  nodeUpdate: idempotent(operatorVerb('node.update', RoleRequest, RoleRequest)),
  leaks: verb(
    'node.leaks',
    z.strictObject({ node: NodeName.optional() }),
    z.object({
      leaks: z.array(
        z.object({
          kind: z.string(),
          name: z.string(),
          container: z.string().nullable(),
          /** What the log says of the container: it is gone, abandoned, unknown or unreadable. */
          ownership: z.string().optional(),
        }),
      ),
    }),
  ),
} as const

/** Every public message by its subject, for `dolly schema`. */
export const publicMessages: Record<string, z.ZodType> = {
  'container.create': ContainerCreate,
  'container.delete': ContainerDelete,
  ...Object.fromEntries(Object.values(verbs).map(({ subject, input }) => [subject, input])),
}
