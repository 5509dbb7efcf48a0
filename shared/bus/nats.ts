/** The only door to the NATS client: what the bus uses of it. */
export {
  type ConsumerConfig,
  ErrorCode,
  Events,
  type JsMsg,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NatsError,
  RequestStrategy,
  ServiceErrorHeader,
  type ServiceMsg,
  type StreamConfig,
  type TlsOptions,
  connect,
  createInbox,
  headers,
} from 'nats'
