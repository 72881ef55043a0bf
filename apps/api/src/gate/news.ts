import type { FreedSlot, GateNews, QueuedVideo } from '../context.ts'

/** More than that is not kept one by one: the gate looks at everything. */
const NEWS_MAX = 1_000

/** Collects what is told until somebody listens. */
export class NewsBox {
  #queued = new Map<string, QueuedVideo>()
  #freed = new Map<string, FreedSlot>()
  #isAnything = false

  /** `undefined`: anything may have changed. */
  put(news: GateNews | undefined): void {
    if (news === undefined) this.#isAnything = true
    for (const video of news?.queued ?? []) this.#queued.set(video.id, video)
    for (const slot of news?.freed ?? []) this.#freed.set(`${slot.videoId} ${slot.fence}`, slot)
    if (this.#queued.size + this.#freed.size <= NEWS_MAX) return
    this.#isAnything = true
    this.#queued.clear()
    this.#freed.clear()
  }

  /** What was told since it was last emptied; `isAnything`: more than that may have changed. */
  empty(): Required<GateNews> & { isAnything: boolean } {
    const news = {
      queued: [...this.#queued.values()],
      freed: [...this.#freed.values()],
      isAnything: this.#isAnything,
    }
    this.#queued = new Map()
    this.#freed = new Map()
    this.#isAnything = false
    return news
  }
}
