import { SettingErrors } from '@sluice/shared/settings'
import { readWorkerConfig } from './config.ts'

// Reads the worker's settings as main.ts does, and starts nothing. Prints what is wrong with them as a list
// of lines in JSON, for `sluice doctor`, and for `sluice up` before it makes a data dir.
try {
  readWorkerConfig(process.env)
  process.stdout.write('[]')
} catch (error) {
  if (!(error instanceof SettingErrors)) throw error
  process.stdout.write(JSON.stringify(error.errors.map(({ message }) => message)))
}
