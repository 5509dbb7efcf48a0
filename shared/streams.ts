import { patienceMs } from './patience.ts'
import { durableCommands, subjects } from './subjects.ts'

const seconds = 1e9

/**
 * More than all orchestrators take together of events at once: at the limit the server does not end a request for what
 * there is now (nats-server, `loopAndGatherMsgs`), and what it has had waits with it.
 */
const mostConsidered = 5000

/** The two streams and their consumers, as the JetStream API takes them; durations in nanoseconds. */
export const streams = ({ ackWaitMs, eventsMaxBytes }: { ackWaitMs: number; eventsMaxBytes: number }) => ({
  commands: {
    name: 'COMMANDS',
    subjects: [...durableCommands],
    retention: 'workqueue',
    storage: 'file',
    discard: 'new',
    max_msgs: 100_000,
    max_bytes: 1 << 30,
    duplicate_window: patienceMs(120) * seconds,
    allow_direct: true,
  },
  events: {
    name: 'EVENTS',
    // What a compare-and-set refuses must reach nobody, so events are not published where they are read.
    subjects: [subjects.everyAppend],
    subject_transform: { src: subjects.everyAppend, dest: subjects.everyEvent },
    republish: { src: subjects.everyEvent, dest: subjects.everyEvent },
    retention: 'limits',
    storage: 'file',
    discard: 'old',
    max_bytes: eventsMaxBytes,
    max_msgs_per_subject: 2000,
    duplicate_window: patienceMs(120) * seconds,
    allow_direct: true,
  },
  /** One durable consumer a command, so that deletes never wait behind creates. */
  consumers: durableCommands.map((subject) => ({
    durable_name: subject.replace('.', '-'),
    filter_subject: subject,
    ack_policy: 'explicit',
    ack_wait: ackWaitMs * 1e6,
    // A create that waits for room is in hand too.
    max_ack_pending: 1000,
    max_deliver: -1,
  })),
  /** Projects events to the `containers` bucket, each once, whichever orchestrator takes it. */
  projector: {
    durable_name: 'projector',
    filter_subject: subjects.events('container'),
    ack_policy: 'explicit',
    ack_wait: ackWaitMs * 1e6,
    max_ack_pending: mostConsidered,
    deliver_policy: 'all',
  },
  /** Starts containers again whose restart policy asks for it. */
  restarts: {
    durable_name: 'restarts',
    filter_subject: subjects.events('container'),
    ack_policy: 'explicit',
    ack_wait: 120 * seconds,
    max_ack_pending: mostConsidered,
    deliver_policy: 'new',
    // Few events are of interest, and their type says which.
    headers_only: true,
  },
  buckets: ['containers', 'names', 'nodes', 'reservations'],
})
