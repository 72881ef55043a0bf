import { randomUUID } from 'node:crypto'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import { Interruption } from '@sluice/shared/interruption'
import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type pg from 'pg'
import type { GateNews } from '../context.ts'
import type { DatabasePool } from '../db/database.ts'
import { asUnavailable } from '../db/unavailable.ts'
import {
  DeliveryError,
  dispatchPass,
  type GateSettings,
  type PassParts,
  type PassResult,
} from './dispatch-pass.ts'
import { FlexWaits } from './flex-waits.ts'
import { KnownFleet } from './known-fleet.ts'
import { LEADER_SILENT_MS_MAX, type Leadership, renewLeadership, winLeadership } from './leadership.ts'
import { NewsBox } from './news.ts'
import { PutOffTimes } from './put-off-times.ts'
import { QueueHeads } from './queue-heads.ts'
import { GATE_CHANNEL, newsOfNotice, registerLocalLeader } from './wake.ts'

/** The leadership of a dead leader is free at once; this is how soon another process notices. */
const CANDIDATE_EVERY_MS = 500
/** A pass at least this often, should a wake-up be lost. */
const PASS_EVERY_MS = 1_000
const RETRY_MS = 1_000
const RENEW_EVERY_MS = 1_000
/** Longest wait for a row that another transaction has locked. */
const LOCK_WAIT_MS = 200

/**
 * A dispatch need not wait for the disk: whatever builds on it (a claim, a settlement) is written after it in
 * the same log, and if a crash loses it before that, the video is still queued and is dispatched again. The
 * session's few statements are planned once, since planning the longer ones costs more than running them.
 */
const SESSION_SQL = `set idle_session_timeout = ${LEADER_SILENT_MS_MAX};
  set idle_in_transaction_session_timeout = ${LEADER_SILENT_MS_MAX};
  set lock_timeout = ${LOCK_WAIT_MS};
  set synchronous_commit = off;
  set plan_cache_mode = force_generic_plan;
  set jit = off`

/** Makes a session ready to dispatch over. */
export async function prepareSession(client: pg.ClientBase): Promise<void> {
  await client.query(SESSION_SQL)
}

export interface Gate {
  /** Stops dispatching and gives the leadership back; a pass that hangs is left behind. */
  stop(): Promise<void>
}

/** Called as the gate of this process gets on. None may throw. */
export interface GateEvents {
  onError: (error: Error) => void
  onLead: () => void
  onResign?: () => void
  /** After each pass: how long it took and what it dispatched. */
  onPass?: (ms: number, dispatched: number) => void
  onUntaken?: PassParts['onUntaken']
}

/** What the gate of a process works with. */
interface GateParts {
  pool: DatabasePool
  producer: AttemptProducer
  settings: GateSettings
  events: GateEvents
  /** Aborted when the gate is to stop. */
  signal: AbortSignal
}

/**
 * Runs the gate in this process: waits for the leadership, then dispatches whenever it is woken or a slot is
 * about to be free. The leadership and the dispatches share one session, so a process that lost it cannot
 * dispatch.
 */
export function startGate(
  pool: DatabasePool,
  producer: AttemptProducer,
  settings: GateSettings,
  events: GateEvents,
): Gate {
  const stopping = new AbortController()
  const running = runGate({ pool, producer, settings, events, signal: stopping.signal })
  return {
    stop: async () => {
      stopping.abort()
      await endedWithin(TIME_LIMITS.apiStop.partMs, running, events.onError)
    },
  }
}

async function runGate(gate: GateParts): Promise<void> {
  const { pool, events, signal } = gate
  const holder = randomUUID()
  while (!signal.aborted) {
    let client: pg.PoolClient | undefined
    try {
      client = await pool.connect()
      // A connection that ends between two queries reports it here alone; unheard, the error would end the
      // process.
      client.on('error', (error) => events.onError(asUnavailable(error) as Error))
      await prepareSession(client)
      const leadership = await campaign(client, holder, signal)
      if (leadership !== null) {
        events.onLead()
        await lead(gate, client, leadership)
      }
    } catch (error) {
      events.onError(asUnavailable(error) as Error)
      await pause(RETRY_MS, signal)
    } finally {
      // Closing the connection gives up the leadership and the LISTEN, whatever state it is in.
      client?.release(true)
    }
  }
}

/** Tries for the leadership until it has it. Null when it is to stop. */
async function campaign(
  client: pg.PoolClient,
  holder: string,
  signal: AbortSignal,
): Promise<Leadership | null> {
  while (!signal.aborted) {
    const leadership = await winLeadership(client, holder)
    if (leadership !== null) return leadership
    await pause(CANDIDATE_EVERY_MS, signal)
  }
  return null
}

async function lead(gate: GateParts, client: pg.PoolClient, leadership: Leadership): Promise<void> {
  const { pool, producer, settings, events, signal } = gate
  const wakeSignal = new WakeSignal()
  const wake = () => wakeSignal.wake()
  const news = new NewsBox()
  const hear = (told: GateNews | undefined) => {
    news.put(told)
    wake()
  }
  const loss = new Interruption()
  const lose = (error: Error) => {
    loss.interrupt(error)
    wake()
  }
  client.once('error', lose)
  client.once('end', () => lose(new Error('the gate lost its connection')))
  client.on('notification', ({ payload }) => hear(newsOfNotice(payload)))
  const unregister = registerLocalLeader(pool, hear)
  signal.addEventListener('abort', wake, { once: true })
  const { renewEveryMs = RENEW_EVERY_MS } = settings
  let renewedAtMs = performance.now()
  const keepLeadership = async () => {
    const nowMs = performance.now()
    if (nowMs - renewedAtMs < renewEveryMs) return
    await renewLeadership(client, leadership)
    renewedAtMs = nowMs
  }
  const parts: PassParts = {
    db: client,
    producer,
    settings,
    news,
    knownFleet: new KnownFleet(client, settings),
    queueHeads: new QueueHeads(client),
    putOffTimes: new PutOffTimes(),
    flexWaits: new FlexWaits(client),
    keepLeadership,
    onError: events.onError,
    onUntaken: events.onUntaken,
  }
  try {
    await client.query(`listen ${GATE_CHANNEL}`)
    while (!signal.aborted) {
      const startedMs = performance.now()
      await keepLeadership()
      const { nextPassInMs, dispatched } = await loss.during(passOnce(gate, parts, leadership))
      events.onPass?.(performance.now() - startedMs, dispatched)
      await wakeSignal.wait(Math.min(PASS_EVERY_MS, nextPassInMs ?? PASS_EVERY_MS))
    }
  } finally {
    unregister()
    events.onResign?.()
    signal.removeEventListener('abort', wake)
  }
}

/** One pass; when the queue is away, waits until it is back. */
async function passOnce(
  { events, signal }: GateParts,
  parts: PassParts,
  leadership: Leadership,
): Promise<PassResult> {
  try {
    return await dispatchPass(parts)
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    events.onError(error)
    await untilQueueAnswers(parts, leadership, signal)
    return { dispatched: 0, nextPassInMs: 0 }
  }
}

/**
 * While the queue is away nothing is dispatched: each try would cost the video a fence and its account its
 * place.
 */
async function untilQueueAnswers(
  { db, producer }: PassParts,
  leadership: Leadership,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await pause(RETRY_MS, signal)
    // Keeps the session from being taken for frozen, and notices when it has ended.
    await renewLeadership(db, leadership)
    const answers = await producer.ping().then(
      () => true,
      () => false,
    )
    if (answers) return
  }
}
