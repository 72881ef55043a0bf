import './page.css'
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode, useState, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import { KeyQuestion } from './account/key-question.tsx'
import { NoAccess } from './account/no-access.tsx'
import { PageHeader } from './account/page-header.tsx'
import { SignIn } from './account/sign-in.tsx'
import { ApiError } from './api/api-client.ts'
import { isMissingRight } from './api/fault-words.ts'
import { onKeyChange, readKey, refuseKey, startKeyStore } from './api/key-store.ts'
import { useOwnKey } from './api/queries.ts'
import { dropStrayClicks } from './controls/click-streak.ts'
import { Studio } from './studio.tsx'

function onError(error: Error): void {
  if (error instanceof ApiError && error.status === 401) {
    refuseKey('That key was not accepted. It may have been revoked, or belong to another service.')
  }
}

function newClient(caches: { queryCache?: QueryCache; mutationCache?: MutationCache } = {}): QueryClient {
  return new QueryClient({
    ...caches,
    defaultOptions: {
      // Polling repeats failed calls. A browser that is "offline" still reaches a service on its own machine.
      queries: { retry: false, networkMode: 'always', gcTime: 10 * 60_000 },
      mutations: { networkMode: 'always' },
    },
  })
}

/** The page of one key. Another key may be another account, so each key starts with an empty cache. */
function Session() {
  const [client] = useState(() =>
    newClient({ queryCache: new QueryCache({ onError }), mutationCache: new MutationCache({ onError }) }),
  )
  return (
    <QueryClientProvider client={client}>
      <PageHeader />
      <Entrance />
    </QueryClientProvider>
  )
}

/** The studio, unless the key may not even look at videos. */
function Entrance() {
  const { error, data } = useOwnKey()
  if (data === undefined && isMissingRight(error)) return <NoAccess error={error} />
  return <Studio />
}

/** Asks which of two keys to use; neither answer is that of a session. */
function Question({ signedIn, offered }: { signedIn: string; offered: string }) {
  const [client] = useState(newClient)
  return (
    <QueryClientProvider client={client}>
      <KeyQuestion signedIn={signedIn} offered={offered} />
    </QueryClientProvider>
  )
}

function App() {
  const { key, notice, refusedKey, offeredKey } = useSyncExternalStore(onKeyChange, readKey)
  if (key === null) return <SignIn notice={notice} refusedKey={refusedKey} />
  if (offeredKey !== null) return <Question key={offeredKey} signedIn={key} offered={offeredKey} />
  return <Session key={key} />
}

dropStrayClicks()
startKeyStore()
const root = document.getElementById('root')
if (root === null) throw new Error('index.html lacks #root')
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
