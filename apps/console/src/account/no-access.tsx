import './no-access.css'
import { faultWords, isMissingRight } from '../api/fault-words.ts'
import { forgetKey } from '../api/key-store.ts'

/** Which key the studio needs. */
export const RIGHT_KEY = 'The studio needs a key of an account with the rights videos:read and videos:write.'

/** In place of the studio, for a key that may not look at videos: what it may do, and which key to use. */
export function NoAccess({ error }: { error: Error }) {
  return (
    <main className="no-access">
      <h1>This key opens no studio</h1>
      <p role="alert">{isMissingRight(error) ? error.message : faultWords(error)}</p>
      <p>
        {RIGHT_KEY} <code>npm start</code> prints one in the address it shows; whoever runs the service makes
        more with <code>npx sluice keys create</code>. A key of the operator works on the command line and in
        the <a href="/docs">API</a> instead.
      </p>
      <button type="button" className="main-button" onClick={forgetKey}>
        Use another key
      </button>
    </main>
  )
}
