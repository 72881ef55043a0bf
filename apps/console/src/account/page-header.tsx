import './page-header.css'
import { useSyncExternalStore } from 'react'
import { onConnectionChange, readConnection } from '../api/connection.ts'
import { forgetKey } from '../api/key-store.ts'
import { useCredits } from '../api/queries.ts'
import { moneyText } from '../text/money-text.ts'
import { Wordmark } from './wordmark.tsx'

/** Name, connection, balance, and the button that signs out. */
export function PageHeader() {
  const connection = useSyncExternalStore(onConnectionChange, readConnection)
  const credits = useCredits()
  return (
    <header className="page-header">
      <Wordmark />
      <div className="page-header-side">
        <span className="connection" role="status">
          {connection === 'reconnecting' && (
            <>
              <i className="connection-dot" />
              Reconnecting
            </>
          )}
        </span>
        {credits.data === undefined ? (
          <span className="balance skeleton-text" aria-hidden="true" />
        ) : (
          <span className="balance" title={moneyText(credits.data)}>
            <span className="balance-word">Balance </span>
            <span className="figures">{moneyText(credits.data, 2)}</span>
          </span>
        )}
        <button type="button" className="quiet-button" onClick={() => forgetKey(null)}>
          Sign out
        </button>
      </div>
    </header>
  )
}
