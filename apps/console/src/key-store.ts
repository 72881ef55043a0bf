/** The API key of this browser, and the reason why there is none. */
export interface KeyState {
  key: string | null
  /** Said above the sign-in box; null when nothing went wrong. */
  notice: string | null
}

const STORAGE_NAME = 'sluice.key'
const listeners = new Set<() => void>()
let state: KeyState = { key: null, notice: null }

/** `#key=sk-...` -> `sk-...`; null when the fragment carries no key. */
export function keyInFragment(fragment: string): string | null {
  const key = new URLSearchParams(fragment.replace(/^#/, '')).get('key')?.trim()
  return key === undefined || key === '' ? null : key
}

/**
 * Takes the key from the address bar, or else the one kept from before, and follows changes in both.
 * The fragment is removed at once, so the key stays out of bookmarks, history and screenshots.
 */
export function startKeyStore(): void {
  state = { key: localStorage.getItem(STORAGE_NAME), notice: null }
  takeFragment()
  window.addEventListener('hashchange', takeFragment)
  window.addEventListener('storage', (event) => {
    if (event.key === STORAGE_NAME) change({ key: event.newValue, notice: null })
  })
}

/** The key state now; the same object until it changes. */
export function readKey(): KeyState {
  return state
}

/** Keeps `key` in this browser. */
export function keepKey(key: string): void {
  localStorage.setItem(STORAGE_NAME, key)
  change({ key, notice: null })
}

/** Forgets the key; `notice` tells the viewer why, null when they asked for it. */
export function forgetKey(notice: string | null): void {
  localStorage.removeItem(STORAGE_NAME)
  change({ key: null, notice })
}

/** Calls `listener` at each change; answers the way to stop. */
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
