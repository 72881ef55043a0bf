import type { Generation } from '@sluice/shared/generation'
import { frameRuleText, makesFrames } from '@sluice/shared/models/frame-rule'
import type { Makes } from '@sluice/shared/models/makes'
import { RunnerFailure } from './runner-failure.ts'

/** No model makes less, and on less there is no room for a word. */
const SIDE_MIN = 32
const FPS_MAX = 120

/**
 * Judges a request by what its model makes.
 * @throws RunnerFailure `bad_input` that names the field, what was given and what is allowed.
 */
export function checkGeneration(generation: Generation, makes: Makes): void {
  const { width, height, num_frames, num_steps, fps, mode } = generation
  const { frames, steps, modes } = makes
  const { multiple, pixels_max } = makes.sides
  const isWhole = width % multiple === 0 && height % multiple === 0
  if (!isWhole || Math.min(width, height) < SIDE_MIN || width * height > pixels_max) {
    const allowed = `sides that are multiples of ${multiple} from ${SIDE_MIN}, and at most ${pixels_max} pixels`
    refuse('width x height', `${width}x${height}`, allowed)
  }
  if (!makesFrames(frames, num_frames))
    refuse('num_frames', num_frames, `${frameRuleText(frames)} from ${frames.min} to ${frames.max}`)
  if (num_steps < steps.min || num_steps > steps.max)
    refuse('num_steps', num_steps, `${steps.min} to ${steps.max}`)
  if (fps > FPS_MAX) refuse('fps', fps, `1 to ${FPS_MAX}`)
  if (!modes.includes(mode)) refuse('mode', mode, modes.join(', '))
}

function refuse(field: string, given: string | number, allowed: string): never {
  throw new RunnerFailure('bad_input', `${field} is ${given}; allowed is ${allowed}`)
}
