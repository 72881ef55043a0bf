import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { AttemptProducer } from '@sluice/shared/queue-backend'
import type { Database } from '../db/database.ts'
import { dispatchVideo, lockVideo, requeueVideo } from '../videos/transition.ts'
import { chooseNext } from './choose.ts'
import { type FleetState, occupiesSlot, type Pool, poolSnapshot, readFleet, readHeads } from './snapshot.ts'

export interface GateSettings {
  accountSharePercent: number
}

export interface PassResult {
  dispatched: number
  /** Milliseconds until a slot becomes nearly free, or null when no running video has said when. */
  nextFreeInMs: number | null
}

/** A video left the gate but the queue would not take it; it is queued again. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

/**
 * Gives every free (or nearly free) slot its next video. Runs on the connection that holds the gate's lock, one video at
 * a time: choose, commit the dispatch, deliver. A crash between commit and delivery leaves a dispatched row that no
 * heartbeat names, which the reconciler brings back.
 */
export async function dispatchPass(db: Database, producer: AttemptProducer, settings: GateSettings): Promise<PassResult> {
  let dispatched = 0
  for (;;) {
    const fleet = await readFleet(db)
    const next = await dispatchOne(db, producer, settings, fleet)
    if (!next) return { dispatched, nextFreeInMs: nextFreeInMs(fleet) }
    dispatched += 1
  }
}

async function dispatchOne(db: Database, producer: AttemptProducer, settings: GateSettings, fleet: FleetState): Promise<boolean> {
  for (const pool of fleet.pools) {
    const heads = await readHeads(db, pool, fleet.paces)
    if (heads.length === 0) continue
    const snapshot = poolSnapshot(fleet, pool, heads)
    const choice = chooseNext(snapshot, fleet.time, settings.accountSharePercent)
    if (choice === null) {
      if (snapshot.freeSlots <= 0 && heads.some((head) => head.tier !== 'flex')) await preemptFlex(db, fleet, pool)
      continue
    }
    const fence = await dispatchVideo(db, {
      videoId: choice.head.videoId,
      accountId: choice.head.accountId,
      pool: pool.pool,
      lane: choice.lane,
      startTagMs: choice.startTagMs,
      finishTagMs: choice.finishTagMs,
    })
    if (fence !== null) await deliver(db, producer, { video: choice.head.videoId, fence, pool: pool.pool })
    return true
  }
  return false
}

async function deliver(db: Database, producer: AttemptProducer, job: { video: string; fence: number; pool: string }): Promise<void> {
  try {
    await producer.add(job)
  } catch (error) {
    await takeBack(db, job)
    throw new DeliveryError(`queue of pool ${job.pool} did not take ${job.video}-${job.fence}`, { cause: error })
  }
}

/** The queue may have taken the job all the same and only the answer was lost, so the fence is raised. */
async function takeBack(db: Database, job: { video: string; fence: number }): Promise<void> {
  await db.query({ text: 'begin' })
  const video = await lockVideo(db, job.video)
  if (video?.status === 'dispatched' && video.fence === job.fence) {
    await requeueVideo(db, video, {
      outcome: 'lost',
      errorCode: 'queue_unavailable',
      errorMessage: null,
      raiseFence: true,
      failuresInARow: video.failures_in_a_row,
      dropCheckpoint: false,
    })
  }
  await db.query({ text: 'commit' })
}

/** Asks one running flex video of a full pool to make room; it goes on later from its checkpoint. */
async function preemptFlex(db: Database, fleet: FleetState, pool: Pool): Promise<void> {
  const onPool = fleet.inFlight.filter((attempt) => attempt.pool === pool.pool && attempt.isRunning)
  if (onPool.some((attempt) => attempt.isYielding || !occupiesSlot(attempt))) return
  const victim = onPool.find((attempt) => attempt.tier === 'flex' && attempt.expiresInMs > FLEX_SAFE_MS)
  if (victim === undefined) return
  await db.query({
    name: 'gate-preempt',
    text: `update video set yield_requested_at = now() where id = $1 and status = 'running' and yield_requested_at is null`,
    values: [victim.videoId],
  })
}

/** A flex video whose deadline is nearer than this is left alone. */
const FLEX_SAFE_MS = 3_600_000

function nextFreeInMs(fleet: FleetState): number | null {
  const waits = fleet.inFlight.flatMap((attempt) =>
    attempt.freeInMs === null || !occupiesSlot(attempt) ? [] : [attempt.freeInMs - NEARLY_FREE_MS],
  )
  return waits.length === 0 ? null : Math.max(0, Math.min(...waits))
}
