import { serve } from '../../shared/service.ts'
import { cgroupService } from './service.ts'

await serve(cgroupService)
