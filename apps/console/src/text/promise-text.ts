import type { PublicPromise } from '@sluice/shared/public-video'
import { isZero, moneyText } from './money-text.ts'

/** What was promised of when a video comes, or what became of it; null when there is nothing to say. */
export function promiseText({ deliver_by, state, credit }: PublicPromise): string | null {
  switch (state) {
    case 'given':
      return `promised by ${new Date(deliver_by * 1_000).toLocaleTimeString([], { timeStyle: 'short' })}`
    case 'kept':
      return 'came as promised'
    case 'missed':
      return isZero(credit.amount) ? 'later than promised' : `later than promised, ${moneyText(credit)} back`
    case 'void':
      return null
  }
}
