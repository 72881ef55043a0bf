import type { DatabasePool } from '../db/database.ts'

/** The NOTIFY channel the gate's leader listens on, whichever process it runs in. */
export const GATE_CHANNEL = 'sluice_gate'

/** In-process shortcut: when the leader runs here, it is woken directly instead of through NOTIFY. */
const localLeaders = new WeakMap<DatabasePool, () => void>()

/** Registers the leader that runs in this process. Returns a function that unregisters it. */
export function registerLocalLeader(pool: DatabasePool, wake: () => void): () => void {
  localLeaders.set(pool, wake)
  return () => {
    localLeaders.delete(pool)
  }
}

/** A notification writes a commit record. Losing it loses nothing, so nobody waits for the disk. */
const WAKE_SQL = `select set_config('synchronous_commit', 'off', true), pg_notify('${GATE_CHANNEL}', '')`

/**
 * Returns a function that wakes the gate, to be called after a commit. Calls made while a NOTIFY is being
 * sent become one further NOTIFY: it takes a lock that all senders share, so it must not be sent once per
 * request.
 */
export function gateWaker(pool: DatabasePool, onError: (error: Error) => void): () => void {
  let isSending = false
  let sendAgain = false
  const send = async () => {
    isSending = true
    do {
      sendAgain = false
      await pool.query({ name: 'gate-wake', text: WAKE_SQL }).catch(onError)
    } while (sendAgain)
    isSending = false
  }
  return () => {
    const wakeLocalLeader = localLeaders.get(pool)
    if (wakeLocalLeader !== undefined) wakeLocalLeader()
    else if (isSending) sendAgain = true
    // oxlint-disable-next-line typescript/no-floating-promises -- a failed query goes to onError
    else void send()
  }
}
