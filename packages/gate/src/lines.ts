import type { Head } from './choose.ts'
import { isWithinMaximum } from './flex/flex-price.ts'
import { type HeadRow, queueKeyOf } from './head-row.ts'

/** A queued video as it was read. */
export interface KnownRow {
  row: HeadRow
  /** By the clock of `performance.now()`. */
  readAtMs: number
}

/** What is known of the queued videos of one key, shape and tier. */
export interface Line {
  /** The first of them, oldest first; empty when they were all served, and nothing was read since. */
  rows: KnownRow[]
  /** The last one that was read; those behind it have higher ids. */
  last: HeadRow
  /** There were none behind the last one. */
  isWhole: boolean
}

/** The lines of the videos that a pool can make, by queue key. */
export class Lines {
  readonly #lines = new Map<string, Line>()

  /** `heads`: the first video of every line. */
  constructor(heads: readonly KnownRow[] = []) {
    for (const head of heads)
      this.#lines.set(queueKeyOf(head.row), { rows: [head], last: head.row, isWhole: false })
  }

  get size(): number {
    return this.#lines.size
  }

  all(): Line[] {
    return [...this.#lines.values()]
  }

  /** The first video of each line. */
  heads(): KnownRow[] {
    return [...this.#lines.values()].flatMap(({ rows: [head] }) => head ?? [])
  }

  /**
   * The video at a place of its line, 0 = the head. Null when there is none; undefined when that is not
   * known.
   */
  at(queueKey: string, place: number): KnownRow | null | undefined {
    const line = this.#lines.get(queueKey)
    return line?.rows[place] ?? (line === undefined || line.isWhole ? null : undefined)
  }

  /** A video as it was read; undefined when it is not known. */
  of({ queueKey, videoId }: Pick<Head, 'queueKey' | 'videoId'>): KnownRow | undefined {
    return this.#lines.get(queueKey)?.rows.find(({ row }) => row.id === videoId)
  }

  /** Notes that a video is passed over now, unless it was before. */
  notePassedOver(head: Pick<Head, 'queueKey' | 'videoId'>, nowMs: number): void {
    const known = this.of(head)
    if (known !== undefined) known.row.passed_over_ms ??= known.readAtMs - nowMs
  }

  /** Adds a video that was queued, unless it stands behind what is known of its line. */
  add(known: KnownRow): void {
    const { row } = known
    const line = this.#lines.get(queueKeyOf(row))
    if (line === undefined) {
      this.#lines.set(queueKeyOf(row), { rows: [known], last: row, isWhole: true })
      return
    }
    if (row.id > line.last.id && !line.isWhole) return
    const place = line.rows.findIndex((other) => other.row.id >= row.id)
    if (place >= 0 && line.rows[place]?.row.id === row.id) line.rows[place] = known
    else line.rows.splice(place < 0 ? line.rows.length : place, 0, known)
    if (row.id > line.last.id) line.last = row
  }

  /** Takes out videos that were dispatched, or are no longer queued. */
  remove(ids: { has(id: string): boolean }, queueKeys: Iterable<string>): void {
    for (const queueKey of new Set(queueKeys)) {
      const line = this.#lines.get(queueKey)
      if (line === undefined) continue
      line.rows = line.rows.filter(({ row }) => !ids.has(row.id))
      if (line.rows.length === 0 && line.isWhole) this.#lines.delete(queueKey)
    }
  }

  /** Takes out what has expired by now: it is being ended, and goes nowhere. */
  dropExpired(nowMs: number): void {
    const hasExpired = ({ row, readAtMs }: KnownRow) => row.expires_in_ms <= nowMs - readAtMs
    for (const [queueKey, { rows }] of this.#lines) {
      const expired = rows.filter(hasExpired).map(({ row }) => row.id)
      if (expired.length > 0) this.remove(new Set(expired), [queueKey])
    }
  }

  /** Takes out flex videos whose maximum is below the price, `multiplierBps`: they wait for another one. */
  dropDear(multiplierBps: number): void {
    for (const [queueKey, { rows }] of this.#lines) {
      const dear = rows.filter(({ row }) => !isWithinMaximum(row.multiplier_bps_max, multiplierBps))
      if (dear.length > 0) this.remove(new Set(dear.map(({ row }) => row.id)), [queueKey])
    }
  }

  /** The lines that have no head any more, though videos may stand behind the last one. */
  withoutHead(): Line[] {
    return [...this.#lines.values()].filter(({ rows, isWhole }) => !isWhole && rows.length === 0)
  }

  named(queueKeys: Iterable<string>): Line[] {
    return [...queueKeys].flatMap((queueKey) => this.#lines.get(queueKey) ?? [])
  }

  /** Adds what was read behind the last video of each line; of each at most `perLine`. */
  append(lines: readonly Line[], read: readonly KnownRow[], perLine: number): void {
    const byLine = Map.groupBy(read, ({ row }) => queueKeyOf(row))
    for (const line of lines) {
      const rows = byLine.get(queueKeyOf(line.last)) ?? []
      line.rows.push(...rows)
      line.last = rows.at(-1)?.row ?? line.last
      line.isWhole = rows.length < perLine
      if (line.rows.length === 0) this.#lines.delete(queueKeyOf(line.last))
    }
  }
}
