import { z } from 'zod'
import { StepName } from './journal.ts'
import { ContainerSpec } from './container-spec.ts'

/** Runtime-spec states, and what a saga adds to them. */
export const ContainerStatus = z.enum([
  'queued',
  'creating',
  'created',
  'running',
  'paused',
  'stopped',
  'deleting',
  'deleted',
  'failed',
  'stuck',
])
export type ContainerStatus = z.infer<typeof ContainerStatus>

/** What `container.get` and `container.list` answer. */
export const Container = z.object({
  id: z.string(),
  name: z.string(),
  node: z.string(),
  image: z.string(),
  status: ContainerStatus,
  createdAt: z.string(),
  startedAt: z.string().optional(),
  finishedAt: z.string().optional(),
  pid: z.number().int().optional(),
  exitCode: z.number().int().optional(),
  oomKilled: z.boolean().optional(),
  address: z.string().nullish(),
  /** A user stopped or killed it: no restart policy brings it back. */
  stoppedByUser: z.boolean().optional(),
  /** Restarts by policy since it last ran for ten seconds. */
  restarts: z.number().int().optional(),
  /** Why it failed or is stuck. */
  error: z.object({ code: z.string(), step: z.string().optional(), reason: z.string() }).optional(),
  /** Resources that could not be undone; empty unless stuck or given up. */
  leaked: z.array(z.object({ step: StepName, reason: z.string() })).optional(),
  /** Its place among the creates that wait, from 1, and what it waits for. */
  queue: z.object({ place: z.number().int(), of: z.number().int(), reason: z.string() }).optional(),
  spec: ContainerSpec,
  /** What each step answered. */
  steps: z.record(
    z.string(),
    z.object({ status: z.string(), output: z.record(z.string(), z.unknown()).optional() }),
  ),
  /** Stream sequence of the last event this state comes from. */
  sequence: z.number().int(),
})
export type Container = z.infer<typeof Container>
