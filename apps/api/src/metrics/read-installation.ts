import { type Database, type DatabasePool, one } from '../db/database.ts'
import type { Facts } from '../economics/facts.ts'
import { HourTotals } from '../economics/hour-totals.ts'
import { type PoolNow, readFleetNow } from '../workers/read-fleet-now.ts'

/** Figures of the whole installation, from PostgreSQL: every API process tells the same, and a restart loses nothing. */
export interface Installation {
  videos: { status: string; pool: string; tier: string; count: number }[]
  webhooksPending: number
  fleet: PoolNow[]
  totals: ReadonlyMap<string, Facts>
  /** How long it took to read all of it. */
  readMs: number
}

const FRESH_MS = 1_000
/** However slow the reading, it takes no more than this share of the time. */
const READING_SHARE = 0.05
const STALE_MS_MAX = 60_000

/** Reads the installation at most once a second, however many ask. */
export class InstallationReader {
  readonly #pool: DatabasePool
  readonly #totals: HourTotals
  #reading: Promise<Installation> | undefined
  #freshUntilMs = Number.NEGATIVE_INFINITY

  constructor(pool: DatabasePool) {
    this.#pool = pool
    this.#totals = new HourTotals(pool)
  }

  /** Those of the last second, or read now. Throws when the database is away, and asks anew next time. */
  read(): Promise<Installation> {
    if (this.#reading !== undefined && performance.now() < this.#freshUntilMs) return this.#reading
    this.#freshUntilMs = Number.POSITIVE_INFINITY
    const startedMs = performance.now()
    const reading = this.#readNow(startedMs)
    this.#reading = reading
    reading.then(
      ({ readMs }) => {
        this.#freshUntilMs = startedMs + Math.min(STALE_MS_MAX, Math.max(FRESH_MS, readMs / READING_SHARE))
      },
      () => {
        this.#reading = undefined
      },
    )
    return reading
  }

  async #readNow(startedMs: number): Promise<Installation> {
    const totals = await this.#totals.read()
    const fleet = await readFleetNow(this.#pool)
    const waiting = await readWaiting(this.#pool)
    return { totals, fleet, ...waiting, readMs: performance.now() - startedMs }
  }
}

async function readWaiting(db: Database): Promise<Pick<Installation, 'videos' | 'webhooksPending'>> {
  const row = one(
    await db.query<{ videos: Installation['videos']; webhooks: bigint }>({
      name: 'metrics-waiting',
      text: `select (select coalesce(json_agg(c), '[]') from (
          select 'queued' as status, '' as pool, service_tier as tier, count(*) as count from video where status = 'queued' group by service_tier
          union all
          select status, pool, service_tier, count(*) from video where status in ('dispatched', 'running') group by 1, 2, 3) c) as videos,
        (select count(*) from webhook_delivery where status = 'pending') as webhooks`,
    }),
  )
  return { videos: row.videos, webhooksPending: Number(row.webhooks) }
}
