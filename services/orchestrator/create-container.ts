import { ContainerSpec } from '../../shared/contracts/container-spec.ts'
import {
  cgroup,
  labNamespace,
  labNetwork,
  labStart,
  name,
  namespace,
  network,
  storage,
} from '../../shared/contracts/steps.ts'
import { saga, step } from './saga/definition.ts'

const limits = { version: 1, input: ContainerSpec, deadlineMs: 300_000 }

/** A container: a list of reversible resources; starting its process is the last, and the saga's pivot. */
export const createContainer = saga('create-container', limits, [
  step(name),
  step(storage),
  step(cgroup),
  step(network),
  step(namespace, { needs: [storage, cgroup, network], timeoutMs: 60_000 }),
])

/** The same in the lab's own order: the veth's peer is moved by pid into a process that already waits. */
export const createLabContainer = saga('create-lab-container', limits, [
  step(name),
  step(storage),
  step(cgroup),
  step(labNamespace, { needs: [storage, cgroup], timeoutMs: 60_000 }),
  step(labNetwork, { needs: [labNamespace] }),
  step(labStart, { needs: [labNamespace, labNetwork], timeoutMs: 60_000 }),
])

export const sagas = [createContainer, createLabContainer]
