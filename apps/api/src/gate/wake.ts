import { z } from 'zod'
import type { GateNews, WakeGate } from '../context.ts'
import type { DatabasePool } from '../db/database.ts'
import { NewsBox } from './news.ts'

/** The NOTIFY channel the gate's leader listens on, whichever process it runs in. */
export const GATE_CHANNEL = 'sluice_gate'

/** In-process shortcut: when the leader runs here, it is woken directly instead of through NOTIFY. */
const localLeaders = new WeakMap<DatabasePool, (news: GateNews | undefined) => void>()

/** Registers the leader that runs in this process. Returns a function that unregisters it. */
export function registerLocalLeader(
  pool: DatabasePool,
  wake: (news: GateNews | undefined) => void,
): () => void {
  localLeaders.set(pool, wake)
  return () => {
    localLeaders.delete(pool)
  }
}

/** A notification writes a commit record. Losing it loses nothing, so nobody waits for the disk. */
const WAKE_SQL = `select set_config('synchronous_commit', 'off', true), pg_notify('${GATE_CHANNEL}', $1)`
/** PostgreSQL takes less than 8,000 bytes. */
const NOTICE_CHARS_MAX = 7_500

const noticeSchema = z.object({
  queued: z.array(z.string()),
  freed: z.array(z.object({ videoId: z.string(), fence: z.number(), inMs: z.number() })),
})

/** What a notification says; undefined = anything may have changed, as an older program says. */
export function newsOfNotice(payload: string | undefined): GateNews | undefined {
  if (payload === undefined || payload === '') return undefined
  try {
    const { queued, freed } = noticeSchema.parse(JSON.parse(payload))
    return { queued: queued.map((id) => ({ id, known: null })), freed }
  } catch {
    return undefined
  }
}

/**
 * `newsOfNotice` reads it; empty when anything may have changed, or it would be too long. What is known of a
 * video stays here: another process reads it.
 */
export function noticeOf({ isAnything, queued, freed }: ReturnType<NewsBox['empty']>): string {
  const notice = isAnything ? '' : JSON.stringify({ queued: queued.map(({ id }) => id), freed })
  return notice.length > NOTICE_CHARS_MAX ? '' : notice
}

/**
 * Returns a function that wakes the gate, to be called after a commit. Calls made while a NOTIFY is being
 * sent become one further NOTIFY: it takes a lock that all senders share, so it must not be sent once per
 * request.
 */
export function gateWaker(pool: DatabasePool, onError: (error: Error) => void): WakeGate {
  const news = new NewsBox()
  let isSending = false
  let sendAgain = false
  const send = async () => {
    isSending = true
    do {
      sendAgain = false
      const values = [noticeOf(news.empty())]
      await pool.query({ name: 'gate-wake', text: WAKE_SQL, values }).catch(onError)
    } while (sendAgain)
    isSending = false
  }
  return (told) => {
    const wakeLocalLeader = localLeaders.get(pool)
    if (wakeLocalLeader !== undefined) {
      wakeLocalLeader(told)
      return
    }
    news.put(told)
    if (isSending) sendAgain = true
    // oxlint-disable-next-line typescript/no-floating-promises -- a failed query goes to onError
    else void send()
  }
}
