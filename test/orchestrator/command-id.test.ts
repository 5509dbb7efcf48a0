import test from 'ava'
import { decodeTime, isValid } from 'ulid'
import { ContainerId } from '../../shared/contracts/identity.ts'
import type { Command } from '../../shared/contracts/command.ts'
import { idOfCommand } from '../../services/orchestrator/command-id.ts'

const command = { sequence: 7, messageId: 'm', time: new Date('2026-01-02T03:04:05.678Z') } as Command

test('every delivery of a command gives the same id, and another command another', (t) => {
  const id = idOfCommand(command)
  const again: Command = { ...command, deliveries: 3 }
  t.is(idOfCommand(again), id)
  t.not(idOfCommand({ ...command, sequence: 8 }), id)
  t.not(idOfCommand({ ...command, messageId: undefined }), id)
})

test('it is a ULID of the time at which the command was stored', (t) => {
  const id = idOfCommand(command)
  t.true(isValid(id))
  t.true(ContainerId.safeParse(id).success)
  t.is(decodeTime(id), command.time.getTime())
})
