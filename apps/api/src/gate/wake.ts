import type { DatabasePool } from '../db/database.ts'

/** The NOTIFY channel the gate's leader listens on, whichever process it runs in. */
export const GATE_CHANNEL = 'sluice_gate'

/** The leader of each pool of connections, while it is this process that leads: it is rung without a way over the database. */
const leadersHere = new WeakMap<DatabasePool, () => void>()

/** Says that this process leads; answers how to say that it no longer does. */
export function ringLeaderHere(pool: DatabasePool, ring: () => void): () => void {
  leadersHere.set(pool, ring)
  return () => {
    leadersHere.delete(pool)
  }
}

/** A notification is given a commit record; nothing is lost with it, so nobody waits for the disk. */
const WAKE_SQL = `select set_config('synchronous_commit', 'off', true), pg_notify('${GATE_CHANNEL}', '')`

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
      await pool.query({ name: 'gate-wake', text: WAKE_SQL }).catch(onError)
    } while (again)
    sending = false
  }
  return () => {
    const ring = leadersHere.get(pool)
    if (ring !== undefined) ring()
    else if (sending) again = true
    else void send()
  }
}
