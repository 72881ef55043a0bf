import './no-access.css'
import { useQuery } from '@tanstack/react-query'
import { ApiError, type OwnKey, readOwnKey } from '../api/api-client.ts'
import { faultWords, isMissingRight } from '../api/fault-words.ts'
import { declineOffer, keepKey } from '../api/key-store.ts'
import { repeatAfterMs } from '../api/repeat-after.ts'
import { forgetDraft } from './draft-store.ts'
import { Wordmark } from './wordmark.tsx'

/** A link with a key was opened while another is signed in: shows both, and asks. */
export function KeyQuestion({ signedIn, offered }: { signedIn: string; offered: string }) {
  const mine = useKeyOf('signed in', signedIn)
  const theirs = useKeyOf('offered', offered)
  const isRefused = theirs.error instanceof ApiError && theirs.error.status === 401
  const isSameAccount = mine.data !== undefined && mine.data.account_id === theirs.data?.account_id

  function change() {
    if (!isSameAccount) forgetDraft()
    keepKey(offered)
  }

  return (
    <main className="no-access">
      <Wordmark />
      <h1>Change the account?</h1>
      <p role="alert">
        The link you opened holds another key than the one that is signed in here.
        {!isSameAccount &&
          ' What you make with it belongs to its account: whoever has a key of it can see your prompts and videos.'}
      </p>
      <dl className="key-pair">
        <dt>Signed in</dt>
        <dd>{keyWords(signedIn, mine)}</dd>
        <dt>The link</dt>
        <dd>{isRefused ? 'A key that this service does not accept.' : keyWords(offered, theirs)}</dd>
        {isSameAccount && <dd>Both belong to the same account.</dd>}
      </dl>
      <div className="key-choices">
        <button type="button" className="main-button" onClick={declineOffer}>
          Stay as I am
        </button>
        {!isRefused && (
          <button type="button" className="quiet-button" onClick={change}>
            Use the link’s key
          </button>
        )}
      </div>
    </main>
  )
}

function useKeyOf(name: 'signed in' | 'offered', key: string) {
  return useQuery({
    queryKey: [name],
    queryFn: ({ signal }) => readOwnKey(signal, key),
    refetchInterval: (query) => (query.state.status === 'error' ? repeatAfterMs(query.state.error) : false),
  })
}

function keyWords(
  secret: string,
  { data, error }: { data: OwnKey | undefined; error: Error | null },
): string {
  const start = `${data?.prefix ?? secret.slice(0, 7)}…`
  if (data !== undefined) {
    const name = data.name === '' ? '' : ` “${data.name}”`
    return `Key ${start}${name} of account ${data.account_id}`
  }
  if (error === null) return `Key ${start}`
  return `Key ${start}: ${isMissingRight(error) ? error.message : faultWords(error)}`
}
