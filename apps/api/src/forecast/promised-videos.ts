import type { HeadRow } from '@sluice/gate/head-row'
import { TIME_LIMITS } from '@sluice/shared/time-limits'

/** What became of a video that was promised a time, as far as is known here. */
export type PromiseOutcome = 'queued' | 'refused' | 'unknown'

interface PromisedVideo {
  row: HeadRow
  /** Snapshots that were begun later have seen it, if it is there. Null while it is not known. */
  seenFromMs: number | null
  /** It is forgotten then, if nobody has said what became of it. */
  untilMs: number
}

/**
 * Longer than a submission takes from its promise to its end: its image is stored within 20 s, and it waits
 * in a line for another 20 s and for its account's money for some seconds. One that hangs is not counted for
 * ever.
 */
const UNQUEUED_MS_MAX = 120_000

/**
 * The videos that one process promised a time, until the snapshots that promises rest on have seen them: each
 * counts for the next ones. All times are those of `performance.now()`.
 */
export class PromisedVideos {
  readonly #videosMax: number
  readonly #videos = new Map<string, PromisedVideo>()

  constructor({ videosMax }: { videosMax: number }) {
    this.#videosMax = videosMax
  }

  /** Returns false, and counts nothing, when there are too many. */
  add(row: HeadRow, nowMs: number): boolean {
    for (const [id, { untilMs }] of this.#videos) if (untilMs <= nowMs) this.#videos.delete(id)
    if (this.#videos.size >= this.#videosMax) return false
    this.#videos.set(row.id, { row, seenFromMs: null, untilMs: nowMs + UNQUEUED_MS_MAX })
    return true
  }

  /** Its submission has ended; of any other video it does nothing. */
  end(videoId: string, outcome: PromiseOutcome, nowMs: number): void {
    const video = this.#videos.get(videoId)
    if (video === undefined) return
    if (outcome === 'refused') {
      this.#videos.delete(videoId)
      return
    }
    // Where nobody knows, the commit may be under way for as long as its answer is waited for.
    video.seenFromMs = outcome === 'queued' ? nowMs : nowMs + TIME_LIMITS.database.answerMs
  }

  /** Those that a snapshot whose reading began then may not have seen. Later ones are of later snapshots. */
  unseenSince(readAtMs: number): HeadRow[] {
    for (const [id, { seenFromMs }] of this.#videos)
      if (seenFromMs !== null && seenFromMs <= readAtMs) this.#videos.delete(id)
    return [...this.#videos.values()].map(({ row }) => row)
  }
}
