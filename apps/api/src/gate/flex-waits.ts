import { shareAboveFlex, utilisationAfter } from '@sluice/gate/flex/flex-price'
import type { Database } from '../db/database.ts'
import { multiplierNow } from '../prices/flex-market.ts'
import { wakeFlexVideos } from '../videos/video-store.ts'
import type { ReadFleet } from './fleet.ts'

/** Time and price are looked at this often. */
const LOOK_EVERY_MS = 1_000
/** Smoothed over a quarter of an hour, utilisation is kept exactly enough. */
const NOTE_EVERY_MS = 10_000
/** Videos that one statement wakes or sends to wait: it takes some tens of milliseconds. */
const VIDEOS_MAX = 1_000

/**
 * Which flex videos may be dispatched changes with time and with the price, and neither is news from
 * anywhere: the leader looks for itself. Those that may not stand in no line, so that they are in nobody's
 * way, however many they are.
 */
export class FlexWaits {
  readonly #db: Database
  readonly #now: () => number
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #multiplierBps: number | null = null

  constructor(db: Database, now: () => number = () => performance.now()) {
    this.#db = db
    this.#now = now
  }

  /**
   * Wakes the videos whose time or price has come, and has those wait whose price has gone. Notes
   * utilisation. Returns how many videos it has changed.
   */
  async keep(fleet: ReadFleet): Promise<number> {
    const nowMs = this.#now()
    const multiplierBps = multiplierNow(fleet.flex)
    if (multiplierBps === this.#multiplierBps && nowMs - this.#lookedAtMs < LOOK_EVERY_MS) return 0
    await this.#noteUtilisation(fleet)
    const changed = await wakeFlexVideos(this.#db, { multiplierBps, videosMax: VIDEOS_MAX })
    this.#multiplierBps = multiplierBps
    // The next pass looks again at once when there may be more.
    this.#lookedAtMs = changed < VIDEOS_MAX ? nowMs : Number.NEGATIVE_INFINITY
    return changed
  }

  async #noteUtilisation({ flex, ...fleet }: ReadFleet): Promise<void> {
    const share = shareAboveFlex(fleet)
    const { atMs, notedAtMs } = flex
    if (share === null || (notedAtMs !== null && atMs - notedAtMs < NOTE_EVERY_MS)) return
    const utilisation =
      notedAtMs === null ? share : utilisationAfter(flex.utilisation, share, atMs - notedAtMs)
    await this.#db.query({
      name: 'flex-note-utilisation',
      text: 'update flex_market set utilisation = $1, noted_at = now()',
      values: [utilisation],
    })
    Object.assign(flex, { utilisation, notedAtMs: atMs })
  }
}
