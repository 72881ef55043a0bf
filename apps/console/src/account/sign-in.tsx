import './sign-in.css'
import { type FormEvent, useId, useState } from 'react'
import { keepKey } from '../api/key-store.ts'
import { Wordmark } from './wordmark.tsx'

/** Asks for an API key. `notice` says why the last one was removed, or null. */
export function SignIn({ notice }: { notice: string | null }) {
  const [fault, setFault] = useState<string | null>(null)
  const [key, setKey] = useState('')
  const id = useId()
  const message = fault ?? notice

  function submit(event: FormEvent) {
    event.preventDefault()
    const typed = key.trim()
    // A header value is visible ASCII; for anything else fetch throws an error without a useful message.
    if (!/^[\x21-\x7e]+$/.test(typed))
      setFault(
        typed === '' ? 'Paste a key first.' : 'That is not a key: it holds spaces or unusual characters.',
      )
    else keepKey(typed)
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
          aria-describedby={`${id}-message`}
        />
        <button type="submit" className="main-button">
          Open
        </button>
        <p id={`${id}-message`} className="fault" role="alert">
          {message}
        </p>
      </form>
    </main>
  )
}
