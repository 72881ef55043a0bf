import './page.css'
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode, useState, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import { PageHeader } from './account/page-header.tsx'
import { SignIn } from './account/sign-in.tsx'
import { ApiError } from './api/api-client.ts'
import { forgetKey, onKeyChange, readKey, startKeyStore } from './api/key-store.ts'
import { Studio } from './studio.tsx'

function onError(error: Error): void {
  if (error instanceof ApiError && error.status === 401) {
    forgetKey('That key was not accepted. It may have been revoked, or belong to another service.')
  }
}

function newClient(): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      // Polling repeats failed calls. A browser that is "offline" still reaches a service on its own machine.
      queries: { retry: false, networkMode: 'always', gcTime: 10 * 60_000 },
      mutations: { networkMode: 'always' },
    },
  })
}

/** The page of one key. Another key may be another account, so each key starts with an empty cache. */
function Session() {
  const [client] = useState(newClient)
  return (
    <QueryClientProvider client={client}>
      <PageHeader />
      <Studio />
    </QueryClientProvider>
  )
}

function App() {
  const { key, notice } = useSyncExternalStore(onKeyChange, readKey)
  return key === null ? <SignIn notice={notice} /> : <Session key={key} />
}

startKeyStore()
const root = document.getElementById('root')
if (root === null) throw new Error('index.html lacks #root')
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
