import { moneyText } from './money-text.ts'

const CURRENCIES = new Set(Intl.supportedValuesOf('currency'))

/** A message of the API with amounts shown as everywhere on the page: `0.5 USD` reads `$0.50`. */
export function plainMoney(message: string, locale?: string): string {
  return message.replace(/(-?\d+(?:\.\d+)?) ([A-Z]{3})\b/g, (whole, amount: string, currency: string) =>
    CURRENCIES.has(currency) ? moneyText({ amount, currency }, 6, locale) : whole,
  )
}

/** What a refusal is told by; as far as it is known. */
export interface RefusalFacts {
  status: number
  code: string | null
  message: string
}

/** A refusal in plain words: what happened, and what to do about it. */
export function refusalText({ status, code, message }: RefusalFacts, locale?: string): string {
  const said = plainMoney(message, locale)
  const advice = ADVICE_BY_CODE[code ?? ''] ?? adviceOf(status)
  return advice === null ? said : `${said} ${advice}`
}

const ADVICE_BY_CODE: Record<string, string> = {
  insufficient_balance:
    'Choose fewer steps, a shorter or smaller video or a cheaper tier, or ask whoever runs this service for credit.',
  budget_exceeded: 'Wait until the budget starts anew, choose a smaller video, or use another key.',
  queue_full: 'Nothing was charged. Wait until one of your videos has ended.',
  insufficient_scope: 'Sign in with a key that has this right.',
  moderation_refused: 'Nothing was charged. Change the sentence or the image.',
}

function adviceOf(status: number): string | null {
  if (status === 401) return 'Sign in again.'
  if (status === 403) return 'Ask whoever runs this service, or sign in with another key.'
  if (status === 429) return 'The page asks again by itself.'
  if (status >= 500) return 'That is a fault of the service, not yours; the page asks again by itself.'
  return null
}
