import { runRunner } from '@sluice/runner/run-runner'
import { readEngineSettings } from '@sluice/shared/engine-settings'
import { Runner } from './runner.ts'

runRunner({
  name: 'engine',
  readSettings: readEngineSettings,
  open: (settings, send, log) => new Runner(settings, send, log),
})
