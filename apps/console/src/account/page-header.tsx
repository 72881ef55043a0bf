import './page-header.css'
import { useSyncExternalStore } from 'react'
import { onConnectionChange, readConnection } from '../api/connection.ts'
import { faultWords } from '../api/fault-words.ts'
import { forgetKey } from '../api/key-store.ts'
import { useAskNow, useCredits } from '../api/queries.ts'
import { moneyText } from '../text/money-text.ts'
import { forgetDraft } from './draft-store.ts'
import { Wordmark } from './wordmark.tsx'

/** Name, connection, balance, and the button that signs out. */
export function PageHeader() {
  const connection = useSyncExternalStore(onConnectionChange, readConnection)
  const askNow = useAskNow()
  const isAway = connection === 'reconnecting'
  return (
    <header className="page-header">
      <Wordmark />
      <div className="page-header-side">
        <span className="connection" role="status">
          {isAway && (
            <span title="The service does not answer. It is asked again every two seconds.">
              <i className="connection-dot" />
              Reconnecting
            </span>
          )}
        </span>
        {isAway && (
          <button type="button" className="quiet-button try-now" onClick={askNow}>
            Try now
          </button>
        )}
        <Balance />
        <button
          type="button"
          className="quiet-button"
          onClick={() => {
            forgetDraft()
            forgetKey()
          }}
        >
          Sign out
        </button>
      </div>
    </header>
  )
}

function Balance() {
  const credits = useCredits()
  if (credits.data !== undefined) {
    return (
      <span
        className="balance"
        title={credits.error === null ? moneyText(credits.data) : faultWords(credits.error)}
      >
        <span className="balance-word">Balance </span>
        <span className="figures">{moneyText(credits.data, 2)}</span>
      </span>
    )
  }
  if (credits.error !== null) {
    return (
      <span className="balance" title={faultWords(credits.error)}>
        Balance unknown
      </span>
    )
  }
  return <span className="balance skeleton-text" aria-hidden="true" />
}
