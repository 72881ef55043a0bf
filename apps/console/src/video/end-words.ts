import type { PublicVideo } from '@sluice/shared/public-video'
import { isCancelled } from '../api/video.ts'
import { plainMoney } from '../text/fault-text.ts'
import { isZero, moneyText } from '../text/money-text.ts'

/** What is said of a video that has no picture. */
export interface EndWords {
  title: string
  /** Why it ended. */
  reason: string | null
  /** How far it came. */
  reached: string
  /** What was charged, and for what. */
  charged: string
  /** What to do next. */
  next: string
}

type Ended = Pick<PublicVideo, 'status' | 'error' | 'steps_done' | 'num_steps' | 'usage' | 'cost'>

/** The end of a cancelled or failed video in plain words. */
export function endWords(video: Ended, locale?: string): EndWords {
  const charged = chargedWords(video, locale)
  const reached = reachedWords(video)
  if (isCancelled(video)) {
    return {
      title: 'Cancelled',
      reason: null,
      reached,
      charged,
      next: '“Try again” starts it once more from the beginning.',
    }
  }
  return {
    title: 'Not made',
    reason: plainMoney(video.error?.message ?? 'No reason was given.', locale),
    reached,
    charged,
    next: NEXT_BY_CODE[video.error?.code ?? ''] ?? '“Try again” makes the same video anew.',
  }
}

function reachedWords({ steps_done: done, num_steps: all }: Ended): string {
  if (done === 0) return 'It had not begun.'
  return `It came to step ${done} of ${all}.`
}

function chargedWords({ cost, usage, steps_done }: Ended, locale?: string): string {
  if (cost.state === 'held') return `${moneyText(cost, 6, locale)} is still held.`
  if (isZero(cost.amount)) return 'Nothing was charged.'
  const steps = `${usage.steps} ${usage.steps === 1 ? 'step' : 'steps'}`
  const free = steps_done > usage.steps ? '; those made after the cancel are free' : ''
  return `${moneyText(cost, 6, locale)} was charged for ${steps}${free}.`
}

const NEXT_BY_CODE: Record<string, string> = {
  bad_input: 'Change the sentence, the image or the settings.',
  moderation_refused: 'Change the sentence or the image.',
  expired: 'It waited too long. Try again when fewer videos wait, or in a faster tier.',
  out_of_memory: 'Choose a smaller or shorter video.',
  model_missing: 'Choose another model, or ask whoever runs this service.',
}
