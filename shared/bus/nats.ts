import { ErrorCode, NatsError } from 'nats'

/** The only door to the NATS client: what the bus uses of it. */
export {
  type ConsumerConfig,
  ErrorCode,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
  RequestStrategy,
  type Service,
  ServiceErrorHeader,
  type ServiceMsg,
  type StreamConfig,
  type Subscription,
  type TlsOptions,
  connect,
  createInbox,
  headers,
  nkeyAuthenticator,
  nkeys,
} from 'nats'
// What the client makes of a message that a consumer's stream has sent; only consumers of its own need it otherwise.
export { toJsMsg } from 'nats/lib/jetstream/jsmsg.js'

const { errorForCode } = NatsError
const cancelled = errorForCode(ErrorCode.Cancelled)

// The client makes this error for each request that has been answered, with a stack that nobody reads.
NatsError.errorForCode = (code, cause) =>
  code === ErrorCode.Cancelled && cause === undefined ? cancelled : errorForCode(code, cause)
