import { type AttemptJob, NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import type { Catalogue } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'
import { undeliveredRequeue } from '../videos/requeue.ts'
import { type Dispatched, dispatchVideo, lockVideo, requeueVideo } from '../videos/transition.ts'
import { requestYield } from '../videos/video-store.ts'
import { accountCap, type Choice, FairQueue, type Head, tierOf } from './choose.ts'
import type { Lines } from './queue-heads.ts'
import {
  type FleetState,
  type InFlight,
  occupantsOf,
  occupiesSlot,
  type Pool,
  readFleet,
  slotsByAccount,
} from './snapshot.ts'

export interface GateSettings {
  catalogue: Catalogue
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

/** PostgreSQL's code for a lock that was not to be had within lock_timeout. */
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Gives every free (or nearly free) slot its next video. Runs on the connection that holds the gate's lock: one look at the
 * fleet, then one video at a time: choose, commit the dispatch, deliver. A crash between commit and delivery leaves a
 * dispatched row that no heartbeat names, which the reconciler brings back.
 */
export async function dispatchPass(
  db: Database,
  producer: AttemptProducer,
  settings: GateSettings,
  lines: Lines,
): Promise<PassResult> {
  const fleet = await readFleet(db, settings.catalogue)
  let dispatched = 0
  for (const pool of fleet.pools) dispatched += await fillPool(db, producer, settings, lines, fleet, pool)
  return { dispatched, nextFreeInMs: nextFreeInMs(fleet) }
}

async function fillPool(
  db: Database,
  producer: AttemptProducer,
  settings: GateSettings,
  lines: Lines,
  fleet: FleetState,
  pool: Pool,
): Promise<number> {
  const occupants = occupantsOf(fleet, pool)
  let freeSlots = pool.slots - occupants.length
  const victims = freeSlots > 0 ? [] : preemptable(fleet, pool)
  // A full pool with nobody to make room asks for no heads at all.
  if (freeSlots <= 0 && victims.length === 0) return 0

  const cap = accountCap(pool, fleet.isShared, settings.accountSharePercent)
  const held = slotsByAccount(occupants)
  const limitOf = (head: Head) =>
    (held.get(head.accountId) ?? 0) >= cap ? head.accountId : fleet.running.limitOf(head)
  let { heads, isKept } = await lines.heads(db, fleet, pool, { anew: false })
  let queue = new FairQueue(fleet.time, heads)
  if (victims.length > 0) {
    await preemptFor(db, queue, victims, fleet, held, cap)
    return 0
  }
  let dispatched = 0
  while (freeSlots > 0) {
    const choice = queue.next(limitOf)
    if (choice === null) {
      if (!isKept) break
      // Somebody may have come since the lines were read.
      ;({ heads, isKept } = await lines.heads(db, fleet, pool, { anew: true }))
      queue = new FairQueue(fleet.time, heads)
      continue
    }
    const { accountId } = choice.head
    const outcome: Dispatched =
      choice.head.expiresInMs <= 0 ? { refused: 'not_queued' } : await dispatch(db, pool, choice)
    if ('fence' in outcome) {
      await deliver(db, producer, {
        video: choice.head.videoId,
        fence: outcome.fence,
        pool: pool.pool,
        model: choice.head.model,
      })
      fleet.time.advance(choice)
      fleet.running.add(choice.head, 1)
      held.set(accountId, (held.get(accountId) ?? 0) + 1)
      freeSlots -= 1
      dispatched += 1
    } else if (outcome.refused === 'pool_gone') {
      // Its last worker began to stop after the fleet was read; the head stays where it is, for another pool.
      break
    }
    const successor = await lines.successor(db, fleet, pool, choice.head)
    if (successor !== null) queue.push(successor)
  }
  return dispatched
}

/** As dispatchVideo; a row that somebody holds counts as no longer queued: it is being ended, and the pass goes on without it. */
async function dispatch(db: Database, pool: Pool, choice: Choice): Promise<Dispatched> {
  try {
    return await dispatchVideo(db, {
      videoId: choice.head.videoId,
      accountId: choice.head.accountId,
      pool: pool.pool,
      tier: choice.lane,
      startTagMs: choice.startTagMs,
      finishTagMs: choice.finishTagMs,
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE)
      return { refused: 'not_queued' }
    throw error
  }
}

async function deliver(db: Database, producer: AttemptProducer, job: AttemptJob): Promise<void> {
  try {
    await producer.add(job)
  } catch (error) {
    await takeBack(db, job)
    throw new DeliveryError(`queue of pool ${job.pool} did not take ${job.video}-${job.fence}`, {
      cause: error,
    })
  }
}

/** The queue may have taken the job all the same and only the answer was lost, so the fence is raised. */
async function takeBack(db: Database, job: { video: string; fence: number }): Promise<void> {
  await db.query({ text: 'begin' })
  const video = await lockVideo(db, job.video)
  if (video?.status === 'dispatched' && video.fence === job.fence) {
    await requeueVideo(db, video, undeliveredRequeue(video))
  }
  await db.query({ text: 'commit' })
}

/** Running flex videos of a full pool that could make room; none while one does already, or a slot is about to be free. */
function preemptable(fleet: FleetState, pool: Pool): InFlight[] {
  const running = fleet.inFlight.filter((attempt) => attempt.pool === pool.pool && attempt.isRunning)
  if (running.some((attempt) => attempt.isYielding || !occupiesSlot(attempt))) return []
  // One whose deadline nears runs as standard and is left alone, by the same rule as in the line.
  return running.filter(
    (attempt) => attempt.tier === 'flex' && tierOf({ ...attempt, costMs: attempt.leftMs }) === 'flex',
  )
}

/**
 * Asks one flex video to make room, when somebody before it in the order would get the slot: not for an account or key that
 * is at a limit, which would be passed over and the flex video started again. It goes on later from its checkpoint.
 */
async function preemptFor(
  db: Database,
  queue: FairQueue,
  victims: readonly InFlight[],
  fleet: FleetState,
  held: ReadonlyMap<string, number>,
  cap: number,
): Promise<void> {
  for (const victim of victims) {
    const heldWithout = (accountId: string) =>
      (held.get(accountId) ?? 0) - (accountId === victim.accountId ? 1 : 0)
    queue.resume(victim)
    fleet.running.add(victim, -1)
    const choice = queue.next((head) =>
      heldWithout(head.accountId) >= cap ? head.accountId : fleet.running.limitOf(head),
    )
    fleet.running.add(victim, 1)
    if (choice === null) continue
    queue.push(choice.head)
    if (choice.lane === 'flex') continue
    await requestYield(db, victim.videoId)
    return
  }
}

function nextFreeInMs(fleet: FleetState): number | null {
  const waits = fleet.inFlight.flatMap((attempt) =>
    attempt.freeInMs === null || !occupiesSlot(attempt) ? [] : [attempt.freeInMs - NEARLY_FREE_MS],
  )
  return waits.length === 0 ? null : Math.max(0, Math.min(...waits))
}
