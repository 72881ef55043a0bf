import './page.css'
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode, useState, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api-client.ts'
import { forgetKey, onKeyChange, readKey, startKeyStore } from './key-store.ts'
import { PageHeader } from './page-header.tsx'
import { SignIn } from './sign-in.tsx'
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
      // Polling is the retry; and a browser that calls itself offline still reaches a service on the same machine.
      queries: { retry: false, networkMode: 'always', gcTime: 10 * 60_000 },
      mutations: { networkMode: 'always' },
    },
  })
}

/** One key's page. Another key may be another account, so it starts with nothing of the one before. */
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
