import { runRunner } from '@sluice/runner/run-runner'
import { Runner } from './runner.ts'
import { readAnimaticSettings } from './settings.ts'

runRunner({
  name: 'animatic',
  readSettings: readAnimaticSettings,
  open: (settings, send, log) => new Runner(settings, send, log),
})
