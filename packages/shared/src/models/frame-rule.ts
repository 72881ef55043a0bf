/**
 * The numbers of frames that a model makes: `multiple` * k + `remainder` from `min` to `max`, and the one
 * that a request gets which names none. `multiple` 1 and `remainder` 0 = any.
 */
export interface FrameRule {
  multiple: number
  remainder: number
  min: number
  max: number
  default: number
}

type Bounds = Omit<FrameRule, 'default'>

/** Whether the model makes clips of so many frames. */
export function makesFrames(rule: Bounds, frames: number): boolean {
  return frames >= rule.min && frames <= rule.max && followsRule(rule, frames)
}

/** Whether the number is one of the rule, be it within the bounds or not. */
export function followsRule({ multiple, remainder }: Bounds, frames: number): boolean {
  return Number.isInteger(frames) && (frames - remainder) % multiple === 0
}

/** The smallest number of the rule that is at least `frames`, whatever the upper bound. */
export function framesFrom({ multiple, remainder, min }: Bounds, frames: number): number {
  return Math.max(min, Math.ceil((frames - remainder) / multiple) * multiple + remainder)
}

/** The number that the model makes which is nearest to `frames`. */
export function nearestFrames(rule: Bounds, frames: number): number {
  const { multiple, remainder, min, max } = rule
  const nearest = Math.round((frames - remainder) / multiple) * multiple + remainder
  return Math.min(Math.max(nearest, min), max)
}

/** The rule as people write it: `4k+1`, `8k`, `a whole number`. */
export function frameRuleText({ multiple, remainder }: Bounds): string {
  if (multiple === 1) return 'a whole number'
  return remainder === 0 ? `${multiple}k` : `${multiple}k+${remainder}`
}

/** The length in seconds as the shortest decimal string of the same number: 48 frames at 24 fps -> `"2"`. */
export function formatSeconds(frames: number, fps: number): string {
  return String(frames / fps)
}
