import './sign-in.css'
import { type FormEvent, useId, useState } from 'react'
import { keepKey } from './key-store.ts'
import { Wordmark } from './wordmark.tsx'

/** Asks for an API key; `notice` says why the last one is gone. */
export function SignIn({ notice }: { notice: string | null }) {
  const [fault, setFault] = useState<string | null>(null)
  const [key, setKey] = useState('')
  const id = useId()
  const said = fault ?? notice

  function submit(event: FormEvent) {
    event.preventDefault()
    const typed = key.trim()
    // Header values are visible ASCII; anything else would fail in fetch with a message nobody understands.
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
          aria-invalid={said !== null}
          aria-describedby={`${id}-said`}
        />
        <button type="submit" className="main-button">
          Open
        </button>
        <p id={`${id}-said`} className="fault" role="alert">
          {said}
        </p>
      </form>
    </main>
  )
}
