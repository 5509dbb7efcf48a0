import { loadConfig } from '../../../shared/config.ts'
import { Failure, reasonOf } from '../../../shared/failure.ts'
import { renewHealthFile } from '../../../shared/health-file.ts'
import { createLog } from '../../../shared/log.ts'
import { startRegistrar } from './start-registrar.ts'

// Beside a bus that Dolly's own supervisor does not keep: by Compose or systemd.
const config = loadConfig()
const log = createLog({ service: 'registrar', node: config.node }, config.logLevel)
const stop = new AbortController()
try {
  const bus = await startRegistrar(config, log)
  renewHealthFile(config, bus, stop.signal)
  log.info('registrar started')
  const end = async (signal: string) => {
    log.info({ signal }, 'registrar stopping')
    stop.abort()
    await bus.close()
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void end(signal))
} catch (error) {
  if (!(error instanceof Failure)) throw error
  log.error({ reason: reasonOf(error) }, 'cannot let hosts join')
  process.exitCode = error.code === 'host_unfit' ? 69 : 1
}
