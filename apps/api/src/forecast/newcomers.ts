import type { Arrival } from '@sluice/gate/forecast/arrivals'
import type { HeadRow } from '@sluice/gate/head-row'
import type { Snapshot } from './snapshot.ts'

/** Videos that are known to have come since a snapshot, at most: with more of them another one is due. */
const KNOWN_MAX = 64

/** Videos that were submitted after the last snapshot was read, as far as this process was asked for them. */
export class Newcomers {
  /** In the order in which they came. */
  readonly #known: { row: HeadRow; atMs: number }[] = []

  /** A video was submitted then, by the clock of `performance.now()`. */
  note(row: HeadRow, atMs: number): void {
    if (this.#known.some(({ row: { id } }) => id === row.id)) return
    const before = this.#known.findLastIndex((other) => other.atMs <= atMs)
    this.#known.splice(before + 1, 0, { row, atMs })
    if (this.#known.length > KNOWN_MAX) this.#known.shift()
  }

  /** Those that came between the snapshot and `atMs`, without the one with this id. */
  since({ readAtMs, atMs: snapshotAtMs, rows, fleet }: Snapshot, atMs: number, exceptId: string): Arrival[] {
    const later = this.#known.filter((known) => known.atMs > readAtMs && known.atMs <= atMs)
    if (later.length === 0) return []
    const seen = new Set([...rows.map(({ id }) => id), ...fleet.inFlight.map(({ videoId }) => videoId)])
    return later.flatMap(({ row, atMs: cameAtMs }) => {
      if (row.id === exceptId || seen.has(row.id)) return []
      const inMs = Math.max(0, cameAtMs - snapshotAtMs)
      return [{ inMs, row: { ...row, expires_in_ms: row.expires_in_ms + inMs } }]
    })
  }
}
