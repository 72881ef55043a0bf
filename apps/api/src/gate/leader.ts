import { setTimeout as delay } from 'node:timers/promises'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type pg from 'pg'
import type { DatabasePool } from '../db/database.ts'
import { DeliveryError, dispatchPass, type GateSettings, type PassResult } from './dispatch-pass.ts'
import { Lines } from './queue-heads.ts'
import { GATE_CHANNEL, ringLeaderHere } from './wake.ts'

/** The advisory lock of the one process that dispatches: "gate" in ASCII. */
const GATE_LOCK = 0x67617465
/** A deposed or dead leader's lock is free at once; how soon another process notices. */
const CANDIDATE_EVERY_MS = 500
/** A pass at least this often, should a wake-up be lost. */
const PASS_EVERY_MS = 1_000
const RETRY_MS = 1_000
/** A leader that says nothing for so long is frozen, not dead: the server ends its session, and the lock with it. */
const LEADER_SILENT_MS_MAX = 10_000
/** Longest wait for a row somebody else holds. */
const LOCK_WAIT_MS = 200

/**
 * A dispatch need not wait for the disk: whatever builds on it (a claim, a settlement) is written behind it in the same log,
 * and without any of that a crash that loses it leaves a queued video, which is dispatched again. Its few statements are
 * planned once, since planning the longer ones costs more than running them.
 */
const SESSION_SQL = `set idle_session_timeout = ${LEADER_SILENT_MS_MAX};
  set idle_in_transaction_session_timeout = ${LEADER_SILENT_MS_MAX};
  set lock_timeout = ${LOCK_WAIT_MS};
  set synchronous_commit = off;
  set plan_cache_mode = force_generic_plan;
  set jit = off`

export interface Gate {
  /** Stops dispatching and gives the leadership back. */
  stop(): Promise<void>
}

interface GateLog {
  onError: (error: Error) => void
  onLead: () => void
  onResign?: () => void
  /** After each pass: how long it took and what it dispatched. */
  onPass?: (ms: number, dispatched: number) => void
}

/**
 * Runs the gate in this process: waits for the leadership, then dispatches whenever it is woken or a slot is about to be
 * free. The lock and the dispatches share one connection, so a process that lost the lock cannot dispatch.
 */
export function startGate(
  pool: DatabasePool,
  producer: AttemptProducer,
  settings: GateSettings,
  log: GateLog,
): Gate {
  const stopping = new AbortController()
  const running = runGate(pool, producer, settings, log, stopping.signal)
  return {
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

async function runGate(
  pool: DatabasePool,
  producer: AttemptProducer,
  settings: GateSettings,
  log: GateLog,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let client: pg.PoolClient | undefined
    try {
      client = await pool.connect()
      // A connection that ends between two queries says so here alone; unheard, it would end the process.
      client.on('error', log.onError)
      await client.query(SESSION_SQL)
      if (await campaign(client, signal)) {
        log.onLead()
        await lead(pool, client, producer, settings, log, signal)
      }
    } catch (error) {
      log.onError(error as Error)
      await pause(RETRY_MS, signal)
    } finally {
      // Closing the connection gives up the lock and the LISTEN, whatever state it is in.
      client?.release(true)
    }
  }
}

/** Tries for the lock by polling: a blocked pg_advisory_lock would hold a snapshot and keep vacuum from its work. */
async function campaign(client: pg.PoolClient, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const { rows } = await client.query<{ leads: boolean }>('select pg_try_advisory_lock($1) as leads', [
      GATE_LOCK,
    ])
    if (rows[0]?.leads === true) return true
    await pause(CANDIDATE_EVERY_MS, signal)
  }
  return false
}

async function lead(
  pool: DatabasePool,
  client: pg.PoolClient,
  producer: AttemptProducer,
  settings: GateSettings,
  log: GateLog,
  signal: AbortSignal,
): Promise<void> {
  const wakeSignal = new WakeSignal()
  const lost = new Promise<never>((_, reject) => {
    client.once('error', reject)
    client.once('end', () => reject(new Error('the gate lost its connection')))
  })
  lost.catch(() => wakeSignal.wake())
  client.on('notification', () => wakeSignal.wake())
  const ring = () => wakeSignal.wake()
  const resign = ringLeaderHere(pool, ring)
  signal.addEventListener('abort', ring, { once: true })
  const lines = new Lines()
  const pass = async (): Promise<PassResult> => {
    try {
      return await dispatchPass(client, producer, settings, lines)
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error
      log.onError(error)
      await untilQueueAnswers(client, producer, signal)
      return { dispatched: 0, nextFreeInMs: 0 }
    }
  }
  try {
    await client.query(`listen ${GATE_CHANNEL}`)
    while (!signal.aborted) {
      const startedMs = performance.now()
      const { nextFreeInMs, dispatched } = await Promise.race([pass(), lost])
      log.onPass?.(performance.now() - startedMs, dispatched)
      await wakeSignal.wait(Math.min(PASS_EVERY_MS, nextFreeInMs ?? PASS_EVERY_MS))
    }
  } finally {
    resign()
    log.onResign?.()
    signal.removeEventListener('abort', ring)
  }
}

/** While the queue is away nothing is dispatched: each try would cost the video a fence and its account its place. */
async function untilQueueAnswers(
  client: pg.PoolClient,
  producer: AttemptProducer,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await pause(RETRY_MS, signal)
    // Keeps the session from being taken for frozen, and notices when it has ended.
    await client.query('select 1')
    const answers = await producer.ping().then(
      () => true,
      () => false,
    )
    if (answers) return
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined)
}
