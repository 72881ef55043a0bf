/** Whether the last call reached the API. One state for the whole page, shown in the header. */
export type Connection = 'connected' | 'reconnecting'

const listeners = new Set<() => void>()
let connection: Connection = 'connected'

/** The state after the last call. */
export function readConnection(): Connection {
  return connection
}

/** Called by the API client after each call. */
export function noteConnection(next: Connection): void {
  if (next === connection) return
  connection = next
  for (const listener of listeners) listener()
}

/** Calls `listener` at each change. Returns a function that removes it. */
export function onConnectionChange(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
