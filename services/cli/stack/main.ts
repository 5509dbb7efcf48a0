import { loadConfig } from '../../../shared/config.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { type SupervisorMessage, upInForeground } from './up.ts'

// The supervisor in the background: tells whoever started it how it went, as long as they listen.
const tell = (message: SupervisorMessage) => {
  if (process.connected) process.send?.(message)
}

const abandoned = new AbortController()
if (process.argv.includes('--bound')) process.once('disconnect', () => abandoned.abort())

try {
  await upInForeground(loadConfig(), {
    onProgress: (progress) => tell({ progress }),
    onReady: (ready) => tell({ ready }),
    signal: abandoned.signal,
  })
} catch (error) {
  if (!(error instanceof Failure)) throw error
  tell({ failure: { code: error.code, message: reasonOf(error) } })
  process.exitCode = 69
} finally {
  if (process.connected) process.disconnect()
}
