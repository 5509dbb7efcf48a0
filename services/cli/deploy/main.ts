import { loadConfig } from '../../../shared/config.ts'
import { reportFailure } from '../output/failure.ts'
import { deploy } from './deploy.ts'
import { loadSettings } from './settings.ts'
import { undeploy } from './undeploy.ts'

const verb = process.argv[2] === 'down' ? 'undeploy' : 'deploy'

try {
  loadSettings()
  await (verb === 'undeploy' ? undeploy : deploy)(loadConfig())
} catch (error) {
  process.exitCode = reportFailure(verb, error)
}
