import type { Database } from '../db/database.ts'
import type { EtaOutcome } from './eta-bounds.ts'

/** Reads how the videos of the sample came out, the newest first; of each pool the same number is kept. */
export async function readEtaOutcomes(db: Database): Promise<EtaOutcome[]> {
  const { rows } = await db.query<EtaOutcome>({
    name: 'eta-outcomes',
    text: `select pool, service_tier as tier,
        start_ms as "startMs", stored_ms as "storedMs", coalesce(late_ms, stored_ms) as "lateMs",
        measured as "isMeasured", took_ms as "tookMs"
      from eta_outcome
      order by id desc`,
  })
  return rows
}

/** How well the newest forecasts of a pool came true. */
export interface EtaRecord {
  pool: string
  videos: number
  /** The median error of p50, as a share of the time that it took. */
  errorRatio: number
  /** The share that came within p90. */
  withinP90: number
  /** Mean seconds from the answer until the device began, and that it was at work. */
  wait: { foretold: number; real: number }
  device: { foretold: number; real: number }
}

/** Reads how well forecasts came true, by the pool that was expected. */
export async function readEtaRecords(db: Database): Promise<EtaRecord[]> {
  const { rows } = await db.query<EtaRecord>({
    name: 'eta-records',
    text: `select pool, count(*)::int as videos,
        percentile_cont(0.5) within group (order by abs(p50_ms - took_ms) / greatest(took_ms, 1))
          as "errorRatio",
        avg((took_ms <= p90_ms)::int)::float8 as "withinP90",
        json_build_object(
          'foretold', avg(start_ms) / 1000,
          'real', avg(greatest(started_ms, 0)) / 1000) as wait,
        json_build_object(
          'foretold', avg(free_ms - start_ms) / 1000,
          'real', avg(freed_ms - started_ms) / 1000) as device
      from eta_outcome
      group by pool
      order by pool`,
  })
  return rows
}
