import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generation } from '@sluice/shared/generation'
import { newId } from '@sluice/shared/ids'
import { Semaphore } from '@sluice/shared/semaphore'
import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import { Attempt, type AttemptDeps } from '../../apps/worker/src/attempt/attempt.ts'
import { ReportCarrier } from '../../apps/worker/src/reports/report-carrier.ts'
import { ReportClient } from '../../apps/worker/src/reports/report-client.ts'
import { Spool } from '../../apps/worker/src/reports/spool.ts'
import type { StandInApi } from './stand-in-api.ts'

export const CLIP: Generation = {
  model: 'animatic',
  mode: 't2v',
  prompt: 'a paper boat in the rain',
  negative_prompt: '',
  width: 256,
  height: 256,
  num_frames: 17,
  fps: 24,
  num_steps: 10,
  guidance: 7.5,
  guidance_img: 3,
  motion_score: 4,
  seed: 42,
}

/** What attempts need of a worker, in a folder that goes with the test. */
export function attemptDeps(api: StandInApi): AttemptDeps {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-attempt-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const log = pino({ level: 'silent' })
  const client = new ReportClient(api.url, api.token, log)
  const spool = new Spool(dir, client, log)
  onTestFinished(() => spool.stop())
  return {
    worker: 'worker_a',
    workDir: dir,
    carrier: new ReportCarrier(client),
    spool,
    uploading: new Semaphore(4),
    soundModels: new Set(),
    log,
  }
}

/** An attempt at a new video that the API knows. */
export function newAttempt(api: StandInApi, deps: AttemptDeps, changes: Partial<Generation> = {}): Attempt {
  const video = newId('video')
  api.requests.set(video, { ...CLIP, ...changes })
  return new Attempt({ video, fence: 1, pool: 'pool' }, 0, deps)
}
