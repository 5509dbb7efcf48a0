import { serve } from '../../shared/service.ts'
import { namespaceService } from './service.ts'

await serve(namespaceService)
