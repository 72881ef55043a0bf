import './quote-line.css'
import type { PublicQuote } from '@sluice/shared/public-quote'
import { faultWords } from '../api/fault-words.ts'
import { moneyText } from '../text/money-text.ts'
import { placeText } from '../text/place-text.ts'
import { waitRangeText } from '../text/time-text.ts'
import type { LiveQuote } from './use-live-quote.ts'

/** What the video would cost and when it would be there, beside the button that asks for it. */
export function QuoteLine({ quote, mayWrite }: { quote: LiveQuote; mayWrite: boolean }) {
  if (!mayWrite) return <p className="quote grave">This key may look at videos, but not make any.</p>
  if (quote.error !== null && quote.shown === undefined)
    return <p className="quote grave">No price yet. {faultWords(quote.error)}</p>
  if (quote.shown === undefined) return <span className="quote skeleton-text" aria-hidden="true" />
  const { cost, usage, affordable } = quote.shown
  const tokens = `${usage.generated_tokens.toLocaleString('en')} generated tokens`
  return (
    <output
      className={quote.isCurrent ? 'quote' : 'quote old'}
      title={quote.error === null ? tokens : faultWords(quote.error)}
    >
      <strong className="figures">{moneyText(cost)}</strong>
      <span className={affordable ? 'figures' : 'figures grave'}>
        {affordable ? whenText(quote.shown) : 'more than there is to spend'}
      </span>
    </output>
  )
}

function whenText({ queue_position: position, eta_seconds: eta }: PublicQuote): string {
  const place = placeText(position).toLowerCase()
  if (eta === null) return position === null ? 'a long queue' : place
  const wait = `ready in ${waitRangeText(eta.p50, eta.p90)}`
  return position === null || position === 1 ? wait : `${place}, ${wait}`
}
