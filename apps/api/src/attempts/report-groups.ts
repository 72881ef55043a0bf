import { setImmediate } from 'node:timers/promises'
import type { ReportAnswer } from '@sluice/shared/attempt-contract'
import type { Context } from '../context.ts'
import { takeAttempts } from '../videos/attempt-store.ts'
import { type RunningReport, writeReports } from '../videos/transition.ts'
import { applyReport, becomesNearlyFree, type SentReport } from './apply-report.ts'
import { assignmentFor, signUploads } from './assignment.ts'
import { Gathering } from './gathering.ts'
import { verdictOf } from './verdict.ts'

/**
 * Two, so that one that the database answers late does not hold up all others; the internal connections have
 * room for both kinds, and for what is applied alone.
 */
const GROUPS_MAX = 2
/** A few milliseconds of the database. */
const REPORTS_MAX = 256
/** Their videos are read whole. */
const TAKEN_MAX = 64

type TakenReport = SentReport & { report: { type: 'taken' } }
type ReportOfRunning = SentReport & { report: { type: RunningReport['type'] } }

/**
 * Applies reports, those that arrive together in one statement where that can be: `taken`, and what a running
 * attempt says of itself. Whatever else a report says or needs, it is applied alone, and so is each of a
 * group that failed: the answer is the same.
 */
export class ReportGroups {
  readonly #context: Context
  readonly #taken: Gathering<TakenReport, ReportAnswer>
  readonly #running: Gathering<ReportOfRunning, ReportAnswer>

  constructor(context: Context) {
    this.#context = context
    const keyOf = ({ videoId }: SentReport) => videoId
    this.#taken = new Gathering<TakenReport, ReportAnswer>({
      groupsMax: GROUPS_MAX,
      itemsMax: TAKEN_MAX,
      keyOf,
      work: (taken) => applyTaken(context, taken),
    })
    this.#running = new Gathering<ReportOfRunning, ReportAnswer>({
      groupsMax: GROUPS_MAX,
      itemsMax: REPORTS_MAX,
      keyOf,
      work: (reports) => applyRunning(context, reports),
    })
  }

  /**
   * `confirmKey` throws when the key that it came with is not good any more; the statement of `taken` asks
   * for that itself. Throws what `applyReport` and `confirmKey` throw.
   */
  async apply(sent: SentReport, confirmKey: () => Promise<void> = async () => {}): Promise<ReportAnswer> {
    const answer = isTaken(sent) ? await this.#taken.add(sent) : null
    if (answer !== null) return answer
    await confirmKey()
    const inGroup = isOfRunning(sent) ? await this.#running.add(sent) : null
    return inGroup ?? (await applyReport(this.#context, sent))
  }
}

function isTaken(sent: SentReport): sent is TakenReport {
  return sent.report.type === 'taken'
}

function isOfRunning(sent: SentReport): sent is ReportOfRunning {
  const { type } = sent.report
  return type === 'started' || type === 'progress' || type === 'released'
}

/** The URLs are signed while the database is asked: once the statement has left. */
async function applyTaken(
  { db, store, config }: Context,
  sent: readonly TakenReport[],
): Promise<(ReportAnswer | null)[]> {
  const taken = sent.map(({ videoId, fence, keyId, report: { claim, worker, slot } }) => ({
    ...{ videoId, fence, claim, workerId: worker, keyId, slot },
  }))
  const sign = async () => {
    await setImmediate()
    return Promise.all(taken.map((start) => signUploads(store, start)))
  }
  const [videos, uploads] = await Promise.all([takeAttempts(db, taken, config.timings.leaseMs), sign()])
  const byId = new Map(videos.map((video) => [video.id, video]))
  return Promise.all(
    taken.map(async ({ videoId }, index) => {
      const [video, urls] = [byId.get(videoId), uploads[index]]
      if (video === undefined || urls === undefined) return null
      return { verdict: verdictOf(video), assignment: await assignmentFor(store, video, urls) }
    }),
  )
}

async function applyRunning(
  { db, wakeGate }: Context,
  sent: readonly ReportOfRunning[],
): Promise<(ReportAnswer | null)[]> {
  const written = await writeReports(db, sent.map(asRunningReport))
  const byId = new Map(written.map((row) => [row.video_id, row]))
  const freed = sent.flatMap(({ videoId, fence, report }) => {
    const before = byId.get(videoId)
    if (before === undefined || report.type === 'started') return []
    if (report.type === 'released') return { videoId, fence, inMs: 0 }
    return becomesNearlyFree(before, report.remaining_ms)
      ? // Not free yet, whatever is left: the device is given back by `released` alone.
        { videoId, fence, inMs: Math.max(1, report.remaining_ms ?? 0) }
      : []
  })
  if (freed.length > 0) wakeGate({ freed })
  return sent.map(({ videoId }) => {
    const video = byId.get(videoId)
    return video === undefined ? null : { verdict: verdictOf(video) }
  })
}

function asRunningReport({ videoId, fence, keyId, report }: ReportOfRunning): RunningReport {
  const { type, claim, worker: workerId } = report
  const said = { videoId, fence, claim, workerId, keyId, type }
  if (report.type !== 'progress') return { ...said, step: 0, phase: null, remainingMs: null }
  return { ...said, step: report.step, phase: report.phase, remainingMs: report.remaining_ms }
}
