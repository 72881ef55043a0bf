import { NO_ARRIVALS, type RecentArrivals } from '@sluice/gate/forecast/arrivals'
import type { HeadRow } from '@sluice/gate/head-row'
import { idAt } from '@sluice/shared/ids'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Database } from '../db/database.ts'
import { HEAD_COLUMNS } from '../gate/head-columns.ts'

/** Enough to know who submits what; what comes later is taken to be as many at most. */
const ARRIVALS_MAX = 128
/** Older ones say nothing of what comes next. */
const AGO_MS_MAX = 900_000
/** As long as there are fewer, they are taken to have come in no less: a burst is no rate. */
const SPAN_MS_MIN = 60_000
const KEPT = { keptMsMin: 1_000, keptMsMax: 10_000, sharedMsMax: 10_000 }

/**
 * Two kinds are in nobody's way, and are not taken to come again: what waits for its time or its price, and
 * what was cancelled at no cost, before it was made: nobody shall make others wait by that.
 */
const RECENT_SQL = `
  select ${HEAD_COLUMNS}, extract(epoch from now() - v.created_at)::float8 * 1000 as ago_ms,
    v.waits_for is null and not (v.status = 'cancelled' and v.charged_micros = 0) as counts
  from (select * from video where id > $1 order by id desc limit $2) v
  join api_key k on k.id = v.key_id
  join account a on a.id = k.account_id
  order by v.id desc`

/** What was submitted lately: what those are like that come next. Read about once a second at most. */
export class Arrivals {
  readonly #db: Database
  readonly #cache = new SnapshotCache<RecentArrivals>(KEPT)

  constructor(db: Database) {
    this.#db = db
  }

  recent(): Promise<RecentArrivals> {
    return this.#cache.get(() => this.#read())
  }

  async #read(): Promise<RecentArrivals> {
    const { rows } = await this.#db.query<ArrivedRow>({
      name: 'forecast-arrivals',
      text: RECENT_SQL,
      values: [idAt('video', Date.now() - AGO_MS_MAX), ARRIVALS_MAX],
    })
    const oldest = rows.at(-1)
    if (oldest === undefined) return NO_ARRIVALS
    const spanMs = rows.length < ARRIVALS_MAX ? Math.max(oldest.ago_ms, SPAN_MS_MIN) : oldest.ago_ms
    const counted = rows.filter(({ counts }) => counts)
    return { rows: counted.map(asSubmitted), spanMs: Math.max(1, spanMs) }
  }
}

type ArrivedRow = HeadRow & { ago_ms: number; counts: boolean }

function asSubmitted({ ago_ms: agoMs, counts: _, ...row }: ArrivedRow): HeadRow {
  return {
    ...row,
    checkpoint_step: null,
    passed_over_ms: null,
    expires_in_ms: row.expires_in_ms + agoMs,
    multiplier_bps_max: null,
    not_before_in_ms: 0,
  }
}
