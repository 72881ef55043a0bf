import {
  formatSeconds,
  frameRuleText,
  framesFrom,
  makesFrames,
  nearestFrames,
} from '@sluice/shared/models/frame-rule'
import type { Model } from '@sluice/shared/models/model'
import { invalidValue } from '../errors.ts'
import type { CreateRequest } from './create-request.ts'

/**
 * Frames from `num_frames`, or from `seconds`: a real length such as "5.375" means those frames, a whole
 * number n the fewest frames of the model's rule that last n seconds. Throws SluiceError.
 */
export function framesOf(
  { frames: rule, fps }: Model,
  request: Pick<CreateRequest, 'num_frames' | 'seconds'>,
): number {
  const { seconds } = request
  const fromSeconds = seconds === undefined ? undefined : framesOfSeconds({ frames: rule, fps }, seconds)
  const frames = request.num_frames ?? fromSeconds ?? rule.default
  if (!makesFrames(rule, frames)) {
    const allowed = `${frameRuleText(rule)} from ${rule.min} to ${rule.max}`
    throw invalidValue('num_frames', frames, `${allowed}, such as ${nearestFrames(rule, frames)}`)
  }
  if (fromSeconds !== undefined && fromSeconds !== frames) {
    const length = formatSeconds(frames, fps)
    throw invalidValue('seconds', seconds, `${length}, since num_frames is ${frames}; give one of them`)
  }
  return frames
}

function framesOfSeconds(
  { frames: rule, fps }: Pick<Model, 'frames' | 'fps'>,
  given: string | number,
): number {
  const seconds =
    typeof given === 'number' ? given : /^\d{1,6}(\.\d{1,20})?$/.test(given) ? Number(given) : Number.NaN
  const exact = Math.round(seconds * fps)
  const isExact = exact > 0 && Math.abs(seconds * fps - exact) < 0.001 && makesFrames(rule, exact)
  const isWhole = Number.isInteger(seconds) && seconds > 0
  const frames = isExact ? exact : isWhole ? framesFrom(rule, seconds * fps) : Number.NaN
  if (makesFrames(rule, frames)) return frames
  throw invalidValue('seconds', given, secondsAllowed({ frames: rule, fps }))
}

function secondsAllowed({ frames: rule, fps }: Pick<Model, 'frames' | 'fps'>): string {
  const longest = formatSeconds(rule.max, fps)
  const exact = `an exact length of ${frameRuleText(rule)} frames up to ${longest}`
  const wholeMax = Math.floor(rule.max / fps)
  return wholeMax < 1 ? exact : `a whole number from 1 to ${wholeMax}, or ${exact}`
}
