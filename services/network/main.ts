import { serve } from '../../shared/service.ts'
import { networkService } from './service.ts'

await serve(networkService)
