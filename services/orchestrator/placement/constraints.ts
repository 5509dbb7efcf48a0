import type { NodeRecord } from '../../../shared/contracts/node.ts'
import { Failure } from '../../../shared/failure.ts'

/** What a node must be, as Swarm says it: `node.labels.disk == ssd`, `node.hostname != a`. */
export interface Constraint {
  key: string
  equal: boolean
  value: string
}

const form = /^\s*(node\.hostname|node\.id|node\.labels\.[A-Za-z0-9][\w./-]*)\s*(==|!=)\s*(.*?)\s*$/

/** Parses a constraint. Throws `Failure` (`invalid_message`) that says what would be right. */
export const constraintOf = (text: string): Constraint => {
  const [, key, operator, value] = form.exec(text) ?? []
  if (key === undefined || value === undefined || value === '')
    throw new Failure(
      'invalid_message',
      `placement: cannot use the constraint "${text}": give it as "node.labels.KEY==VALUE" or "node.hostname!=NAME"`,
    )
  return { key, equal: operator === '==', value }
}

export const textOf = ({ key, equal, value }: Constraint): string => `${key}${equal ? '==' : '!='}${value}`

/** Whether a node is as the constraint wants it; a label that it does not have equals nothing. */
export const matches = (
  { key, equal, value }: Constraint,
  { name, labels }: Pick<NodeRecord, 'name' | 'labels'>,
): boolean => (key.startsWith('node.labels.') ? labels[key.slice(12)] === value : name === value) === equal
