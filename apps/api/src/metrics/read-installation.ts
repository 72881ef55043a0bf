import type { Facts } from '@sluice/shared/economics/facts'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import { countOverdue } from '../attempts/recovery.ts'
import { type Database, type DatabasePool, one } from '../db/database.ts'
import { HourTotals } from '../economics/hour-totals.ts'
import type { LivePoolReader, LivePools } from '../economics/live-pools.ts'
import { type EtaRecord, readEtaRecords } from '../forecast/eta-outcomes.ts'
import { isGateLed } from '../gate/leadership.ts'
import { type PaymentsNow, readPaymentsNow } from '../payments/payment-store.ts'
import { readUntakenOfPools, type UntakenOfPool } from '../workers/queue-delivery.ts'
import { type DemandSettings, type PoolDemand, readDemand } from './demand.ts'

/**
 * Figures of the whole installation, from PostgreSQL: the same in every API process, and a restart loses
 * nothing.
 */
export interface Installation {
  videos: { status: string; pool: string; tier: string; count: number }[]
  webhooksPending: number
  isGateLed: boolean
  /** Attempts that should have been recovered by now. */
  attemptsOverdue: number
  /** By pool: dispatches that nobody took, since the beginning, and in a row by now. */
  untaken: UntakenOfPool[]
  live: LivePools
  /** By pool: how well the newest forecasts came true. */
  etas: EtaRecord[]
  demand: PoolDemand[]
  payments: PaymentsNow
  totals: ReadonlyMap<string, Facts>
  /** How long it took to read all of it. */
  readMs: number
}

const KEPT_MS_MIN = 1_000
const KEPT_MS_MAX = 60_000

/** Reads the installation at most once a second, however many ask. */
export class InstallationReader {
  readonly #pool: DatabasePool
  readonly #livePools: LivePoolReader
  readonly #settings: DemandSettings
  readonly #totals: HourTotals
  readonly #cache = new SnapshotCache<Installation>({ keptMsMin: KEPT_MS_MIN, keptMsMax: KEPT_MS_MAX })

  constructor(pool: DatabasePool, livePools: LivePoolReader, settings: DemandSettings) {
    this.#pool = pool
    this.#livePools = livePools
    this.#settings = settings
    this.#totals = new HourTotals(pool)
  }

  /** The figures of the last second, or of now. Throws when the database is away. */
  read(): Promise<Installation> {
    return this.#cache.get(() => this.#readNow())
  }

  async #readNow(): Promise<Installation> {
    const startedMs = performance.now()
    const totals = await this.#totals.read()
    const { leaseMs } = this.#settings
    const live = await this.#livePools.read()
    const demand = await readDemand(this.#pool, this.#settings)
    const unfinished = await readUnfinished(this.#pool)
    const attemptsOverdue = await countOverdue(this.#pool, leaseMs)
    return {
      totals,
      live,
      demand,
      ...unfinished,
      attemptsOverdue,
      untaken: await readUntakenOfPools(this.#pool),
      etas: await readEtaRecords(this.#pool),
      isGateLed: await isGateLed(this.#pool),
      payments: await readPaymentsNow(this.#pool),
      readMs: performance.now() - startedMs,
    }
  }
}

async function readUnfinished(db: Database): Promise<Pick<Installation, 'videos' | 'webhooksPending'>> {
  const row = one(
    await db.query<{ videos: Installation['videos']; webhooks: bigint }>({
      name: 'metrics-unfinished',
      text: `select
        (select coalesce(json_agg(c), '[]') from (
          select 'queued' as status, '' as pool, service_tier as tier, sum(queued) as count
          from queue_count where key_id = '' group by service_tier having sum(queued) > 0
          union all
          select status, pool, service_tier, count(*)
          from video where status in ('dispatched', 'running') group by 1, 2, 3) c) as videos,
        (select count(*) from webhook_delivery where status = 'pending') as webhooks`,
    }),
  )
  return { videos: row.videos, webhooksPending: Number(row.webhooks) }
}
