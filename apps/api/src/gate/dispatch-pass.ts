import { accountCap, type Choice, FairQueue, type Head } from '@sluice/gate/choose'
import { chooseGroup, countDispatch, type Standing } from '@sluice/gate/choose-group'
import { inOrderOfFilling, movable, takesNow } from '@sluice/gate/delivery'
import {
  activeAccounts,
  type Fleet,
  type InFlight,
  occupantsOf,
  occupiesSlot,
  type Pool,
  slotsByAccount,
} from '@sluice/gate/fleet'
import { type HeadRow, headOf } from '@sluice/gate/head-row'
import type { KnownRow, Lines } from '@sluice/gate/lines'
import { type SlotState, unoccupiedSlots } from '@sluice/gate/loaded-slots'
import { type Paces, predictUploadMs } from '@sluice/gate/pace'
import { type PoolShares, preemptable, victimFor } from '@sluice/gate/preempt'
import type { Elsewhere } from '@sluice/gate/route'
import { type AttemptJob, NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import { isUnstorable } from '../attempts/unstorable.ts'
import type { QueuedVideo } from '../context.ts'
import type { Database } from '../db/database.ts'
import { multiplierNow } from '../prices/flex-market.ts'
import { readAttempt } from '../videos/attempt-store.ts'
import { undeliveredRequeue, untakenRequeue } from '../videos/requeue.ts'
import { type Dispatched, dispatchVideos, lockVideo, requeueVideo } from '../videos/transition.ts'
import { requestYield } from '../videos/video-store.ts'
import { noteUntaken } from '../workers/queue-delivery.ts'
import type { FleetSettings, ReadFleet } from './fleet.ts'
import type { FlexWaits } from './flex-waits.ts'
import type { KnownFleet } from './known-fleet.ts'
import type { NewsBox } from './news.ts'
import type { PutOffTimes } from './put-off-times.ts'
import type { QueueHeads } from './queue-heads.ts'
import { readElsewhere } from './surroundings.ts'

export interface GateSettings extends FleetSettings {
  accountSharePercent: number
  /** How long a flex video that came back runs before it makes room again. */
  flexRunMsMin: number
  /** How often a leader renews its leadership; tests set it. */
  renewEveryMs?: number
  /** Videos that are dispatched together at most; tests set it. */
  groupMax?: number
}

/** What every pass of a leader works with. */
export interface PassParts {
  /** The session that leads. */
  db: Database
  producer: AttemptProducer
  settings: GateSettings
  /** What was told since the last pass. */
  news: NewsBox
  knownFleet: KnownFleet
  queueHeads: QueueHeads
  putOffTimes: PutOffTimes
  flexWaits: FlexWaits
  /** Called before each change: a pass of many dispatches takes longer than a leadership lasts. */
  keepLeadership: () => Promise<void>
  /** Hears of a video that is passed over because it cannot be dispatched. */
  onError: (error: Error) => void
  /** Called with each video that nobody took and that goes to another pool. May not throw. */
  onUntaken?: ((attempt: InFlight) => void) | undefined
}

/** A pass while it fills one pool. */
interface PoolPass extends Pass {
  /** What is in flight there as it begins to. */
  inFlight: InFlight[]
}

interface Pass extends PassParts {
  /** As it is known when the pass begins, and kept up to date by its dispatches. */
  fleet: ReadFleet
  /** Queues that have been given all they may have. */
  filled: Set<string>
  /** Pools with a free slot for which somebody was found who waits for another pool. */
  leftFree: Set<Pool>
}

export interface PassResult {
  dispatched: number
  /**
   * Milliseconds until a slot becomes nearly free, or what may have changed can be read; null when neither is
   * known.
   */
  nextPassInMs: number | null
}

/** A video left the gate but the queue would not take it; it is queued again. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

/** PostgreSQL's code for a lock that could not be had within lock_timeout. */
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * More than that are dispatched in several groups: the statement of one takes tens of milliseconds, in which
 * nothing else is decided, and an outage of the queue costs the videos of one group a fence.
 */
const GROUP_MAX = 256

/** After so many readings the group is as large as is known; the next one goes on from there. */
const AHEAD_READINGS_MAX = 3

/**
 * Gives every free (or nearly free) slot its next video. Takes a group of videos at a time, of one pool:
 * choose, commit the dispatch, deliver. A crash between commit and delivery leaves dispatched rows that no
 * heartbeat names, which the reconciler brings back. Throws DeliveryError when the queue takes nothing, and
 * what `keepLeadership` throws.
 */
export async function dispatchPass(parts: PassParts): Promise<PassResult> {
  const { knownFleet, queueHeads } = parts
  const news = parts.news.empty()
  if (news.isAnything) {
    knownFleet.doubt()
    queueHeads.doubt()
  }
  knownFleet.free(news.freed)
  const pass: Pass = { ...parts, fleet: await knownFleet.get(), filled: new Set(), leftFree: new Set() }
  if ((await parts.flexWaits.keep(pass.fleet)) > 0) queueHeads.doubt()
  await queueHeads.hear(notYetGiven(news.queued, pass.fleet), pass.fleet.pools)
  for (const attempt of movable(pass.fleet)) await giveUpUntaken(pass, attempt)
  const order = inOrderOfFilling(pass.fleet.pools)
  // Who waited for a pool that had room and took none of them need not any more.
  const filled = (await fillPools(pass, order)) + (await fillPools(pass, [...pass.leftFree]))
  // Only now: who can go to a free slot of one pool needs no room on another.
  const dispatched = filled + (await askForRoom(pass, order))
  return { dispatched, nextPassInMs: earlier(nextFreeInMs(pass.fleet), knownFleet.dueInMs) }
}

/**
 * Without those that a pass had read and dispatched before it was told of them: they would stand for videos
 * that wait for room.
 */
function notYetGiven(queued: readonly QueuedVideo[], { inFlight }: Fleet): readonly QueuedVideo[] {
  // What is told of no row is read, as far as it is queued.
  if (queued.every(({ known }) => known === null)) return queued
  const given = new Set(inFlight.map(({ videoId }) => videoId))
  return queued.filter(({ id, known }) => known === null || !given.has(id))
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other
  return Math.min(one, other)
}

/** Returns how many videos it dispatched. */
async function fillPools(pass: Pass, pools: readonly Pool[]): Promise<number> {
  const ofQueue = Map.groupBy(pass.fleet.inFlight, ({ queue }) => queue)
  let dispatched = 0
  for (const pool of pools) {
    dispatched += await fillPool({ ...pass, inFlight: ofQueue.get(pool.queue) ?? [] }, pool)
    pass.filled.add(pool.queue)
  }
  return dispatched
}

/** Returns how many videos it dispatched. */
async function fillPool(pass: PoolPass, pool: Pool): Promise<number> {
  const freeSlots = pool.slots - occupantsOf(pass, pool).length
  return freeSlots > 0 ? fillFreeSlots(pass, pool, Math.min(freeSlots, takesNow(pass, pool))) : 0
}

/**
 * Asks a flex video of each full pool to make room, where a video of a higher tier would get its slot.
 * Returns how many videos it dispatched instead.
 */
async function askForRoom(pass: Pass, pools: readonly Pool[]): Promise<number> {
  let dispatched = 0
  for (const pool of pools) {
    if ((await findVictim(pass, pool)) === null) continue
    // Who is in need of room may have come since the pools with a free slot were filled.
    pass.queueHeads.doubt()
    dispatched += await fillPools(pass, pools)
    const victim = await findVictim(pass, pool)
    if (victim === null) continue
    await requestYield(pass.db, victim.videoId)
    victim.isYielding = true
  }
  return dispatched
}

/** Who of a full pool is to make room; null = nobody. */
async function findVictim({ fleet, ...parts }: Pass, pool: Pool): Promise<InFlight | null> {
  const pass = { ...parts, fleet, inFlight: fleet.inFlight.filter(({ queue }) => queue === pool.queue) }
  const { queueHeads } = pass
  if (pool.slots > occupantsOf(pass, pool).length) return null
  const victims = preemptable(fleet, pool, pass.settings.flexRunMsMin)
  // A full pool with nobody to make room needs no heads at all.
  if (victims.length === 0) return null
  const { lines } = await queueHeads.read(pool)
  lines.dropDear(multiplierNow(fleet.flex))
  const heads = headsOf(lines, pass, pool)
  const shares = sharesOf(pass, pool, heads)
  const elsewhere = await readElsewhere(pass, pool, lines)
  const others = elsewhere && {
    waits: (head: Head, tier: Head['tier']) => elsewhere.waits(head, tier),
    behind: () => null,
  }
  const { time, running } = fleet
  return victimFor({ running, others }, shares, new FairQueue(time, heads), victims)
}

function headsOf(lines: Lines, pass: Pass, pool: Pool): Head[] {
  const nowMs = performance.now()
  return lines.heads().map((known) => knownHead(known, pass, pool, nowMs))
}

function knownHead({ row, readAtMs }: KnownRow, pass: Pass, pool: Pool, nowMs: number): Head {
  const head = headOf(row, pool, pass.fleet.paces, nowMs - readAtMs)
  const putOffAtMs = pass.putOffTimes.of(row.id)
  return putOffAtMs === undefined ? head : { ...head, putOffAtMs: putOffAtMs - nowMs }
}

function sharesOf(pass: PoolPass, pool: Pool, heads: readonly Head[]): PoolShares {
  return { occupied: slotsByAccount(occupantsOf(pass, pool)), accountCap: capFor(pass, pool, heads) }
}

function capFor({ fleet, inFlight, settings }: PoolPass, pool: Pool, heads: readonly Head[]): number {
  const active = activeAccounts({ ...fleet, inFlight }, pool, heads)
  return accountCap(pool, active, settings.accountSharePercent)
}

async function fillFreeSlots(pass: PoolPass, pool: Pool, freeSlots: number): Promise<number> {
  const { queueHeads, settings } = pass
  let { lines, areDoubted } = await queueHeads.read(pool)
  const standing = standingOf(pass, pool, headsOf(lines, pass, pool))
  let elsewhere = await readElsewhere(pass, pool, lines)
  let dispatched = 0
  while (dispatched < freeSlots) {
    const videosMax = Math.min(freeSlots - dispatched, settings.groupMax ?? GROUP_MAX)
    const group = await nextGroup(pass, pool, { lines, standing, videosMax, elsewhere })
    if (group.length === 0) {
      if (!areDoubted) break
      // A video may have come since the heads were read.
      lines = await queueHeads.readAnew(pool)
      areDoubted = false
      elsewhere = await readElsewhere(pass, pool, lines)
      standing.shares.accountCap = capFor(pass, pool, headsOf(lines, pass, pool))
      continue
    }
    await pass.keepLeadership()
    const outcome = await dispatchGroup(pass, pool, group)
    // Its last worker began to stop after the fleet was read; the heads stay where they are, for other pools.
    if (outcome.isPoolGone) break
    const sent = countOutcome(pass, pool, { lines, standing, group, outcome })
    dispatched += sent.length
    await deliver(pass, sent)
  }
  return dispatched
}

/** What the choices for a pool depend on, as the pass begins to fill it. */
function standingOf(pass: PoolPass, pool: Pool, heads: readonly Head[]): Standing {
  const { time, running } = pass.fleet
  return {
    time,
    running,
    shares: sharesOf(pass, pool, heads),
    free: unoccupiedSlots(pool, occupantsOf(pass, pool)),
    wanted: new Set(heads.map(({ model }) => model)),
    switchWaitMsMax: pool.switchWaitMsMax,
  }
}

/** The videos that go next, as one at a time; empty when nobody may. */
async function nextGroup(
  pass: Pass,
  pool: Pool,
  parts: { lines: Lines; standing: Standing; videosMax: number; elsewhere: Elsewhere | null },
): Promise<Choice[]> {
  const nowMs = performance.now()
  const { queueHeads } = pass
  const { lines, standing, videosMax, elsewhere } = parts
  const flexMultiplierBps = multiplierNow(pass.fleet.flex)
  lines.dropExpired(nowMs)
  lines.dropDear(flexMultiplierBps)
  await queueHeads.readAhead(lines, lines.withoutHead(), videosMax)
  const at = (queueKey: string, place: number) => {
    const known = lines.at(queueKey, place)
    return known == null ? known : knownHead(known, pass, pool, nowMs)
  }
  for (let readings = 0; ; readings += 1) {
    const heads = headsOf(lines, pass, pool)
    const { choices, unknown, putOff } = chooseGroup({ heads, at }, standing, videosMax, elsewhere)
    const isEnough = choices.length === videosMax || unknown.size === 0
    if (isEnough || readings === AHEAD_READINGS_MAX) {
      pass.putOffTimes.note(putOff, nowMs)
      if (putOff.length > 0 && choices.length < videosMax && !pass.filled.has(pool.queue))
        pass.leftFree.add(pool)
      return choices
    }
    await queueHeads.readAhead(lines, lines.named(unknown), videosMax)
    lines.dropDear(flexMultiplierBps)
  }
}

/** Counts what was dispatched of a group, and forgets what is no longer queued. Returns the jobs. */
function countOutcome(
  { fleet, queueHeads, putOffTimes }: Pass,
  pool: Pool,
  parts: { lines: Lines; standing: Standing; group: readonly Choice[]; outcome: Dispatched },
): AttemptJob[] {
  const { lines, standing, group, outcome } = parts
  const nowMs = performance.now()
  const left = new Map<string, Head>()
  const jobs: AttemptJob[] = []
  for (const [index, choice] of group.entries()) {
    const { head } = choice
    const fence = outcome.fences[index]
    if (fence !== undefined) {
      const known = lines.of(head)
      const slot = countDispatch(standing, choice)
      jobs.push(jobOf(choice, fence, { pool, slot }))
      if (known !== undefined)
        fleet.inFlight.push(inFlightOf(head, known.row, { fence, pool, paces: fleet.paces }))
      for (const other of choice.passedOver) lines.notePassedOver(other, nowMs)
    }
    if (fence !== undefined || outcome.gone.has(head.videoId)) left.set(head.videoId, head)
  }
  queueHeads.remove(left)
  putOffTimes.forget(left.keys())
  return jobs
}

/** As it stands in flight from its dispatch on. */
function inFlightOf(
  head: Head,
  row: HeadRow,
  { fence, pool, paces }: { fence: number; pool: Pool; paces: Paces },
): InFlight {
  return {
    videoId: head.videoId,
    accountId: head.accountId,
    keyId: head.keyId,
    tier: head.tier,
    pool: pool.pool,
    queue: pool.queue,
    fence,
    shape: row,
    model: head.model,
    worker: null,
    slot: null,
    isTaken: false,
    dispatchedMs: 0,
    isRunning: false,
    isYielding: false,
    cameBack: fence > 1,
    ranMs: 0,
    expiresInMs: head.expiresInMs,
    freeInMs: null,
    leftMs: head.costMs,
    uploadMs: predictUploadMs(paces, pool, row),
  }
}

/**
 * As dispatchVideos, but a row that stays locked counts as no longer queued: it is being ended, and the pass
 * goes on without it. So does a video that the database refuses to dispatch: it keeps no other from going.
 * Which one of a group it is shows when they go one by one.
 */
async function dispatchGroup(pass: Pass, pool: Pool, group: readonly Choice[]): Promise<Dispatched> {
  try {
    return await dispatchVideos(pass.db, {
      pool: pool.pool,
      queue: pool.queue,
      leaseMs: pass.settings.leaseMs,
      flexMultiplierBps: multiplierNow(pass.fleet.flex),
      videos: group.map(({ head, tier, clockMs, finishTagMs, passedOver }) => ({
        videoId: head.videoId,
        accountId: head.accountId,
        tier,
        clockMs,
        finishTagMs,
        passedOver: passedOver.map(({ videoId }) => videoId),
      })),
    })
  } catch (error) {
    const [only] = group
    const isRefused = error instanceof Error && isUnstorable(error)
    if (only === undefined || !(isRefused || isLockTimeout(error))) throw error
    if (group.length > 1) return dispatchOneByOne(pass, pool, group)
    // It may be queued all the same: what is known of the heads is not all that there is.
    pass.queueHeads.doubt()
    if (isRefused)
      pass.onError(new Error(`video ${only.head.videoId} cannot be dispatched`, { cause: error }))
    return { fences: [], gone: new Set([only.head.videoId]), isPoolGone: false }
  }
}

/** Up to the first one that cannot go: those behind it were chosen as if it went. */
async function dispatchOneByOne(pass: Pass, pool: Pool, group: readonly Choice[]): Promise<Dispatched> {
  const fences: number[] = []
  for (const choice of group) {
    await pass.keepLeadership()
    const outcome = await dispatchGroup(pass, pool, [choice])
    if (outcome.fences.length === 0)
      return { ...outcome, fences, isPoolGone: outcome.isPoolGone && fences.length === 0 }
    fences.push(...outcome.fences)
  }
  return { fences, gone: new Set(), isPoolGone: false }
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

/** With one write for all of them: they are of one queue. */
async function deliver({ db, producer, knownFleet }: Pass, jobs: readonly AttemptJob[]): Promise<void> {
  const [first] = jobs
  if (first === undefined) return
  try {
    await producer.addAll(jobs)
  } catch (error) {
    knownFleet.doubt()
    for (const job of jobs) await takeBack(db, job)
    const names = `${first.video}-${first.fence}${jobs.length === 1 ? '' : ` and ${jobs.length - 1} more`}`
    throw new DeliveryError(`queue ${first.queue ?? first.pool} did not take ${names}`, { cause: error })
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
  // It is queued again.
  pass.queueHeads.doubt()
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

function nextFreeInMs(fleet: ReadFleet): number | null {
  const waits = fleet.inFlight.flatMap((attempt) =>
    attempt.freeInMs === null || !occupiesSlot(attempt) ? [] : [attempt.freeInMs - NEARLY_FREE_MS],
  )
  return waits.length === 0 ? null : Math.max(0, Math.min(...waits))
}
