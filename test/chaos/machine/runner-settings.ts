import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MOODY_RUNNER = fileURLToPath(new URL('./moody-runner.ts', import.meta.url))

/** The file that gives the runners of an installation a mood. */
export function moodFileOf(dir: string): string {
  return join(dir, 'mood')
}

/** A pace that makes many short videos: 10 ms a step, a checkpoint every 50 ms. */
export function runnerSettings(dir: string): Record<string, string> {
  return {
    SLUICE_RUNNER_COMMAND: `${process.execPath} ${MOODY_RUNNER}`,
    SLUICE_MODEL: 'animatic',
    SLUICE_POOL: 'animatic',
    SLUICE_ANIMATIC_STEP_MS: '10',
    SLUICE_ANIMATIC_CHECKPOINT_MS: '50',
    SLUICE_ANIMATIC_MOOD: moodFileOf(dir),
    SLUICE_RUNNER_STALL_MS: '4000',
    SLUICE_GRACE_MS: '2000',
  }
}
