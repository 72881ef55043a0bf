import './sign-in.css'
import { type FormEvent, useId, useState } from 'react'
import { ApiError, readOwnKey } from '../api/api-client.ts'
import { faultWords, isMissingRight } from '../api/fault-words.ts'
import { keepKey } from '../api/key-store.ts'
import { RIGHT_KEY } from './no-access.tsx'
import { Wordmark } from './wordmark.tsx'

interface SignInProps {
  /** Why the last key was removed, or null. */
  notice: string | null
  /** The key that was refused, which stays in the field. */
  refusedKey: string | null
}

/** Asks for an API key and tries it before it is kept: one that does not fit stays in its field. */
export function SignIn({ notice, refusedKey }: SignInProps) {
  const [key, setKey] = useState(refusedKey ?? '')
  const { fault, isTrying, open } = useTriedKey()
  const id = useId()
  const message = fault ?? notice

  function submit(event: FormEvent) {
    event.preventDefault()
    if (!isTrying) open(key.trim()).catch(reportError)
  }

  return (
    <main className="sign-in">
      <Wordmark />
      <h1>Open the studio</h1>
      <p className="sign-in-lead">Paste an API key of this service. It stays in this browser.</p>
      <form onSubmit={submit} noValidate>
        <label htmlFor={id}>API key</label>
        <input
          id={id}
          className="field"
          type="password"
          autoComplete="off"
          spellCheck={false}
          placeholder="sk-…"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          aria-invalid={message !== null}
          aria-describedby={`${id}-message ${id}-hint`}
        />
        <button type="submit" className="main-button" aria-disabled={isTrying}>
          {isTrying ? 'Trying the key…' : 'Open'}
        </button>
        <p id={`${id}-message`} className="fault" role="alert">
          {message}
        </p>
        <p id={`${id}-hint`} className="sign-in-hint">
          Where keys come from: <code>npm start</code> prints an address with the key in it, and the first key
          stands in <code>keys.json</code> of the service’s data folder. Whoever runs the service makes more
          with <code>npx sluice keys create</code>. <a href="/docs">About the API</a>
        </p>
      </form>
    </main>
  )
}

function useTriedKey() {
  const [fault, setFault] = useState<string | null>(null)
  const [isTrying, setIsTrying] = useState(false)

  async function open(typed: string) {
    const wrongForm = formFault(typed)
    setFault(wrongForm)
    if (wrongForm !== null) return
    setIsTrying(true)
    try {
      await readOwnKey(undefined, typed)
      keepKey(typed)
    } catch (error) {
      setFault(keyFault(error))
    } finally {
      setIsTrying(false)
    }
  }

  return { fault, isTrying, open }
}

/** A header value is visible ASCII; for anything else fetch throws an error without a useful message. */
function formFault(typed: string): string | null {
  if (typed === '') return 'Paste a key first.'
  return /^[\x21-\x7e]+$/.test(typed) ? null : 'That is not a key: it holds spaces or unusual characters.'
}

function keyFault(error: unknown): string {
  if (error instanceof ApiError && error.status === 401)
    return 'That key was not accepted. It may have been revoked, or belong to another service.'
  if (isMissingRight(error)) return `${error.message} ${RIGHT_KEY}`
  return error instanceof Error ? `${faultWords(error)} The key was not tried.` : String(error)
}
