import type { Generation } from '@sluice/shared/generation'
import { findBuiltIn, type Model } from '@sluice/shared/model-catalogue'
import { RunnerFailure } from './runner-failure.ts'

/** It makes what Open-Sora makes. */
const MODEL = requireBuiltIn('open-sora-2')
const SIDE_MIN = 32
const FPS_MAX = 120

export const FRAMES_MAX = MODEL.framesMax
export const PIXELS_MAX = Math.max(...MODEL.sizes.map(({ width, height }) => width * height))

/** @throws RunnerFailure `bad_input` that names the field, what was given and what is allowed. */
export function checkGeneration({ width, height, num_frames, num_steps, fps }: Generation): void {
  const tooSmall = Math.min(width, height) < SIDE_MIN
  if (width % 2 !== 0 || height % 2 !== 0 || tooSmall || width * height > PIXELS_MAX) {
    const allowed = `even sides of at least ${SIDE_MIN} and at most ${PIXELS_MAX} pixels`
    refuse('width x height', `${width}x${height}`, allowed)
  }
  if (num_frames > FRAMES_MAX || (num_frames - 1) % 4 !== 0)
    refuse('num_frames', num_frames, `4k+1 up to ${FRAMES_MAX}`)
  if (num_steps > MODEL.stepsMax) refuse('num_steps', num_steps, `${MODEL.stepsMin} to ${MODEL.stepsMax}`)
  if (fps > FPS_MAX) refuse('fps', fps, `1 to ${FPS_MAX}`)
}

function refuse(field: string, given: string | number, allowed: string): never {
  throw new RunnerFailure('bad_input', `${field} is ${given}; allowed is ${allowed}`)
}

function requireBuiltIn(id: string): Model {
  const model = findBuiltIn(id)
  if (model === undefined) throw new Error(`the model catalogue lacks ${id}`)
  return model
}
