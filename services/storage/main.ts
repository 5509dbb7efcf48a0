import { serve } from '../../shared/service.ts'
import { storageService } from './service.ts'

await serve(storageService)
