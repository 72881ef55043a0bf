import type { DatabasePool } from '../db/database.ts'

/** The NOTIFY channel the gate's leader listens on, whichever process it runs in. */
export const GATE_CHANNEL = 'sluice_gate'

/**
 * A function that wakes the gate soon, to be called after a commit. Calls made while one NOTIFY is under way become one
 * more: NOTIFY takes a lock that all its senders share, so it must not be sent once per request.
 */
export function gateWaker(pool: DatabasePool, onError: (error: Error) => void): () => void {
  let sending = false
  let again = false
  const send = async () => {
    sending = true
    do {
      again = false
      await pool.query({ name: 'gate-wake', text: `select pg_notify('${GATE_CHANNEL}', '')` }).catch(onError)
    } while (again)
    sending = false
  }
  return () => {
    if (sending) again = true
    else void send()
  }
}
