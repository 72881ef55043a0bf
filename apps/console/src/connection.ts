/** Whether the last call reached the API: said once in the header, whichever call found out. */
export type Connection = 'connected' | 'reconnecting'

const listeners = new Set<() => void>()
let connection: Connection = 'connected'

/** What the last call found. */
export function readConnection(): Connection {
  return connection
}

/** Called by the API client after each call. */
export function noteConnection(next: Connection): void {
  if (next === connection) return
  connection = next
  for (const listener of listeners) listener()
}

/** Calls `listener` at each change; answers the way to stop. */
export function onConnectionChange(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
