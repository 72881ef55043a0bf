import type { Head } from '@sluice/gate/choose'

/** The oldest are forgotten: such a video may then wait as long again. */
const KEPT_MAX = 10_000

/**
 * Since when videos have been put off for another pool, by the clock of `performance.now()`. The leader alone
 * knows it: after a change of leaders a video may wait for another pool once more.
 */
export class PutOffTimes {
  readonly #sinceMs = new Map<string, number>()

  /** Undefined = it never was. */
  of(videoId: string): number | undefined {
    return this.#sinceMs.get(videoId)
  }

  /** Notes those that are put off now, unless they were before. Flex videos are never in a hurry. */
  note(heads: readonly Pick<Head, 'videoId' | 'putOffAtMs'>[], nowMs: number): void {
    for (const { videoId, putOffAtMs } of heads) {
      if (putOffAtMs === undefined || this.#sinceMs.has(videoId)) continue
      this.#sinceMs.set(videoId, nowMs)
    }
    for (const videoId of this.#sinceMs.keys()) {
      if (this.#sinceMs.size <= KEPT_MAX) return
      this.#sinceMs.delete(videoId)
    }
  }

  /** They were dispatched, or are no longer queued. */
  forget(videoIds: Iterable<string>): void {
    for (const videoId of videoIds) this.#sinceMs.delete(videoId)
  }
}
