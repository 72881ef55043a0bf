import { type AttemptJob, NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import { isUnstorable } from '../attempts/unstorable.ts'
import type { Database } from '../db/database.ts'
import { readAttempt } from '../videos/attempt-store.ts'
import { undeliveredRequeue, untakenRequeue } from '../videos/requeue.ts'
import { type Dispatched, dispatchVideo, lockVideo, requeueVideo } from '../videos/transition.ts'
import { requestYield } from '../videos/video-store.ts'
import { noteUntaken } from '../workers/queue-delivery.ts'
import { accountCap, type Choice, FairQueue, type Head } from './choose.ts'
import { inOrderOfFilling, movable, takesNow } from './delivery.ts'
import {
  activeAccounts,
  type Fleet,
  type FleetSettings,
  type InFlight,
  occupantsOf,
  occupiesSlot,
  type Pool,
  readFleet,
  slotsByAccount,
} from './fleet.ts'
import { loadedModels, type SlotState, takeSlot, unoccupiedSlots } from './loaded-slots.ts'
import { limitOn, type PoolShares, preemptable, victimFor } from './preempt.ts'
import type { QueueHeads } from './queue-heads.ts'

export interface GateSettings extends FleetSettings {
  accountSharePercent: number
  /** How often a leader renews its leadership; tests set it. */
  renewEveryMs?: number
}

/** What every pass of a leader works with. */
export interface PassParts {
  /** The session that leads. */
  db: Database
  producer: AttemptProducer
  settings: GateSettings
  queueHeads: QueueHeads
  /** Called before each change: a pass of many dispatches takes longer than a leadership lasts. */
  keepLeadership: () => Promise<void>
  /** Hears of a video that is passed over because it cannot be dispatched. */
  onError: (error: Error) => void
  /** Called with each video that nobody took and that goes to another pool. May not throw. */
  onUntaken?: ((attempt: InFlight) => void) | undefined
}

interface Pass extends PassParts {
  /** As it was when the pass began, and kept up to date by its dispatches. */
  fleet: Fleet
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

/** PostgreSQL's code for a lock that could not be had within lock_timeout. */
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Gives every free (or nearly free) slot its next video. Reads the fleet once, then takes one video at a
 * time: choose, commit the dispatch, deliver. A crash between commit and delivery leaves a dispatched row
 * that no heartbeat names, which the reconciler brings back. Throws DeliveryError when the queue takes
 * nothing, and what `keepLeadership` throws.
 */
export async function dispatchPass(parts: PassParts): Promise<PassResult> {
  const pass: Pass = { ...parts, fleet: await readFleet(parts.db, parts.settings) }
  for (const attempt of movable(pass.fleet)) await giveUpUntaken(pass, attempt)
  let dispatched = 0
  for (const pool of inOrderOfFilling(pass.fleet.pools)) dispatched += await fillPool(pass, pool)
  return { dispatched, nextFreeInMs: nextFreeInMs(pass.fleet) }
}

/** Returns how many videos it dispatched. */
async function fillPool(pass: Pass, pool: Pool): Promise<number> {
  const { fleet, queueHeads } = pass
  const freeSlots = pool.slots - occupantsOf(fleet, pool).length
  if (freeSlots > 0) return fillFreeSlots(pass, pool, Math.min(freeSlots, takesNow(fleet, pool)))
  const victims = preemptable(fleet, pool)
  // A full pool with nobody to make room needs no heads at all.
  if (victims.length === 0) return 0
  const { heads } = await queueHeads.read(fleet, pool)
  const shares = sharesOf(pass, pool, heads)
  const victim = victimFor(fleet, shares, new FairQueue(fleet.time, heads), victims)
  if (victim !== null) await requestYield(pass.db, victim.videoId)
  return 0
}

function sharesOf(pass: Pass, pool: Pool, heads: readonly Head[]): PoolShares {
  return { occupied: slotsByAccount(occupantsOf(pass.fleet, pool)), accountCap: capFor(pass, pool, heads) }
}

function capFor({ fleet, settings }: Pass, pool: Pool, heads: readonly Head[]): number {
  return accountCap(pool, activeAccounts(fleet, pool, heads), settings.accountSharePercent)
}

async function fillFreeSlots(pass: Pass, pool: Pool, freeSlots: number): Promise<number> {
  const { fleet, queueHeads } = pass
  const known = await queueHeads.read(fleet, pool)
  const free = unoccupiedSlots(pool, occupantsOf(fleet, pool))
  const wanted = new Set(known.heads.map(({ model }) => model))
  let { areKept } = known
  const shares = sharesOf(pass, pool, known.heads)
  const limitOf = (head: Head) => limitOn(head, shares, fleet.running)
  let queue = new FairQueue(fleet.time, known.heads)
  let dispatched = 0
  while (dispatched < freeSlots) {
    await pass.keepLeadership()
    const { switchWaitMsMax: waitMsMax } = pool
    const choice = queue.next(limitOf, { loaded: loadedModels(free), nowMs: 0, waitMsMax })
    if (choice === null) {
      if (!areKept) break
      // A video may have come since the heads were read.
      const heads = await queueHeads.readAnew(fleet, pool)
      queue = new FairQueue(fleet.time, heads)
      shares.accountCap = capFor(pass, pool, heads)
      areKept = false
      continue
    }
    const outcome: Dispatched =
      choice.head.expiresInMs <= 0 ? { refused: 'not_queued' } : await dispatch(pass, pool, choice)
    if ('fence' in outcome) {
      const slot = takeSlot(free, choice.head.model, wanted)
      await deliver(pass, jobOf(choice, outcome.fence, { pool, slot }))
      countDispatch(fleet, shares, choice)
      dispatched += 1
    } else if (outcome.refused === 'pool_gone') {
      // Its last worker began to stop after the fleet was read; the head stays where it is, for another pool.
      break
    }
    const successor = await queueHeads.successor(fleet, pool, choice.head)
    if (successor !== null) queue.push(successor)
  }
  return dispatched
}

function countDispatch(fleet: Fleet, { occupied }: PoolShares, choice: Choice): void {
  const { accountId } = choice.head
  fleet.time.advance(choice)
  fleet.running.add(choice.head, 1)
  occupied.set(accountId, (occupied.get(accountId) ?? 0) + 1)
}

/**
 * As dispatchVideo, but a locked row counts as no longer queued: it is being ended, and the pass goes on
 * without it. So does a video that the database refuses to dispatch: it keeps no other from going.
 */
async function dispatch(pass: Pass, pool: Pool, choice: Choice): Promise<Dispatched> {
  try {
    return await dispatchVideo(pass.db, {
      videoId: choice.head.videoId,
      accountId: choice.head.accountId,
      pool: pool.pool,
      queue: pool.queue,
      tier: choice.tier,
      clockMs: choice.clockMs,
      finishTagMs: choice.finishTagMs,
      passedOver: choice.passedOver.map(({ videoId }) => videoId),
      leaseMs: pass.settings.leaseMs,
    })
  } catch (error) {
    if (isLockTimeout(error)) return { refused: 'not_queued' }
    if (!(error instanceof Error) || !isUnstorable(error)) throw error
    pass.onError(new Error(`video ${choice.head.videoId} cannot be dispatched`, { cause: error }))
    return { refused: 'not_queued' }
  }
}

/** `slot`: the one it was chosen for; where all have the same loaded it makes no difference. */
function jobOf(
  { head }: Choice,
  fence: number,
  { pool: { pool, queue, loaded }, slot }: { pool: Pool; slot: SlotState | undefined },
): AttemptJob {
  const differ = loaded.some(({ model }) => model !== loaded[0]?.model)
  return {
    video: head.videoId,
    fence,
    pool,
    model: head.model,
    ...(queue === pool ? {} : { queue }),
    ...(slot?.model != null && differ ? { loaded: slot.model } : {}),
  }
}

async function deliver({ db, producer }: Pass, job: AttemptJob): Promise<void> {
  try {
    await producer.add(job)
  } catch (error) {
    await takeBack(db, job)
    throw new DeliveryError(`queue ${job.queue ?? job.pool} did not take ${job.video}-${job.fence}`, {
      cause: error,
    })
  }
}

/** The queue may have taken the job and only its answer was lost, so the fence is raised. */
async function takeBack(db: Database, job: AttemptJob): Promise<void> {
  await inTransaction(db, async () => {
    const video = await lockVideo(db, job.video)
    if (video?.status === 'dispatched' && video.fence === job.fence)
      await requeueVideo(db, video, undeliveredRequeue(video))
  })
}

/** Queues a video again that nobody took, unless somebody has just done so, and notes it of the queue. */
async function giveUpUntaken(pass: Pass, untaken: InFlight): Promise<void> {
  const { db, fleet, onUntaken } = pass
  const { videoId, fence, queue, pool } = untaken
  await pass.keepLeadership()
  const isGivenUp = await inTransaction(db, async () => {
    const video = await lockVideo(db, videoId)
    if (video?.status !== 'dispatched' || video.fence !== fence) return false
    if ((await readAttempt(db, videoId, fence))?.claim !== null) return false
    await requeueVideo(db, video, untakenRequeue(video))
    await noteUntaken(db, queue, pool)
    return true
  })
  if (!isGivenUp) return
  onUntaken?.(untaken)
  fleet.inFlight = fleet.inFlight.filter((attempt) => attempt !== untaken)
  fleet.running.add(untaken, -1)
  for (const stuck of fleet.pools.filter((candidate) => candidate.queue === queue)) stuck.isPaused = true
}

/**
 * On the leader's own connection: when it fails here, the leader gives it up, and PostgreSQL rolls back. A
 * row that another transaction keeps locked is left for the next pass.
 */
async function inTransaction<T>(db: Database, work: () => Promise<T>): Promise<T | undefined> {
  await db.query({ text: 'begin' })
  try {
    const result = await work()
    await db.query({ text: 'commit' })
    return result
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    await db.query({ text: 'rollback' })
    return undefined
  }
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE
}

function nextFreeInMs(fleet: Fleet): number | null {
  const waits = fleet.inFlight.flatMap((attempt) =>
    attempt.freeInMs === null || !occupiesSlot(attempt) ? [] : [attempt.freeInMs - NEARLY_FREE_MS],
  )
  return waits.length === 0 ? null : Math.max(0, Math.min(...waits))
}
