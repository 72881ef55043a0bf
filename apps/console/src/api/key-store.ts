/** The API key of this browser, and the reason why there is none. */
export interface KeyState {
  key: string | null
  /** Shown below the sign-in field; null when nothing went wrong. */
  notice: string | null
}

const STORAGE_NAME = 'sluice.key'
const listeners = new Set<() => void>()
let state: KeyState = { key: null, notice: null }

/** `#key=sk-...` -> `sk-...`; null when the fragment contains no key. */
export function keyInFragment(fragment: string): string | null {
  const key = new URLSearchParams(fragment.replace(/^#/, '')).get('key')?.trim()
  return key === undefined || key === '' ? null : key
}

/**
 * Reads the key from the address bar, or else the one this browser stored, and follows changes of both.
 * The fragment is removed at once, so that the key stays out of bookmarks, history and screenshots.
 */
export function startKeyStore(): void {
  state = { key: localStorage.getItem(STORAGE_NAME), notice: null }
  takeFragment()
  window.addEventListener('hashchange', takeFragment)
  window.addEventListener('storage', (event) => {
    if (event.key === STORAGE_NAME) change({ key: event.newValue, notice: null })
  })
}

/** The current state: the same object until it changes. */
export function readKey(): KeyState {
  return state
}

/** Stores `key` in this browser. */
export function keepKey(key: string): void {
  localStorage.setItem(STORAGE_NAME, key)
  change({ key, notice: null })
}

/** Removes the key from this browser. `notice` says why; null when the viewer signed out. */
export function forgetKey(notice: string | null): void {
  localStorage.removeItem(STORAGE_NAME)
  change({ key: null, notice })
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
  keepKey(key)
}

function change(next: KeyState): void {
  state = next
  for (const listener of listeners) listener()
}
