/** The API key of this browser, and the reason why there is none. */
export interface KeyState {
  key: string | null
  /** Shown below the sign-in field; null when nothing went wrong. */
  notice: string | null
  /** The key that was refused: it stays in the field. Kept in memory only. */
  refusedKey: string | null
  /** The key of a link that was opened while another key is signed in; null when there is no question. */
  offeredKey: string | null
}

const STORAGE_NAME = 'sluice.key'
const NO_KEY: KeyState = { key: null, notice: null, refusedKey: null, offeredKey: null }
const listeners = new Set<() => void>()
let state: KeyState = NO_KEY

/** `#key=sk-...` -> `sk-...`; null when the fragment contains no key. */
export function keyInFragment(fragment: string): string | null {
  const key = new URLSearchParams(fragment.replace(/^#/, '')).get('key')?.trim()
  return key === undefined || key === '' ? null : key
}

/** The state after a link with `key` was opened: a key that is signed in is not replaced without a word. */
export function withLinkKey(before: KeyState, key: string): KeyState {
  if (before.key === null || before.key === key) return { ...NO_KEY, key }
  return { ...before, offeredKey: key }
}

/**
 * Reads the key from the address bar, or else the one this browser stored, and follows changes of both.
 * The fragment is removed at once, so that the key stays out of bookmarks, history and screenshots.
 */
export function startKeyStore(): void {
  state = { ...NO_KEY, key: localStorage.getItem(STORAGE_NAME) }
  takeFragment()
  window.addEventListener('hashchange', takeFragment)
  window.addEventListener('storage', (event) => {
    if (event.key === STORAGE_NAME) change({ ...NO_KEY, key: event.newValue })
  })
}

/** The current state: the same object until it changes. */
export function readKey(): KeyState {
  return state
}

/** Stores `key` in this browser. */
export function keepKey(key: string): void {
  localStorage.setItem(STORAGE_NAME, key)
  change({ ...NO_KEY, key })
}

/** Removes the key from this browser, since the viewer signs out. */
export function forgetKey(): void {
  localStorage.removeItem(STORAGE_NAME)
  change(NO_KEY)
}

/** Removes a key that the API refused; `notice` says why. It stays in the sign-in field. */
export function refuseKey(notice: string): void {
  const refusedKey = state.key
  localStorage.removeItem(STORAGE_NAME)
  change({ ...NO_KEY, notice, refusedKey })
}

/** Stays with the key that is signed in. */
export function declineOffer(): void {
  change({ ...state, offeredKey: null })
}

/** Calls `listener` at each change. Returns a function that removes it. */
export function onKeyChange(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function takeFragment(): void {
  const key = keyInFragment(window.location.hash)
  if (key === null) return
  window.history.replaceState(window.history.state, '', window.location.pathname + window.location.search)
  const next = withLinkKey(state, key)
  if (next.key !== null && next.offeredKey === null) localStorage.setItem(STORAGE_NAME, next.key)
  change(next)
}

function change(next: KeyState): void {
  state = next
  for (const listener of listeners) listener()
}
