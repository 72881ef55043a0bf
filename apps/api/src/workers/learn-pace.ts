import type { DevicePace, PacedShape } from '@sluice/gate/pace'
import type { Database } from '../db/database.ts'

/** Weight of the newest sample in the running mean once there are several. */
const NEWEST_WEIGHT = 0.2

/**
 * Adds a finished attempt's pace to the running mean of its pool and shape, and how long its upload took
 * until now.
 */
export async function learnPace(
  db: Database,
  pool: string,
  shape: PacedShape,
  { releasedAt, ...pace }: DevicePace & { releasedAt: Date },
): Promise<void> {
  await db.query({
    name: 'pace-learn',
    text: `insert into pace as p (pool, capability, width, height, num_frames, step_ms, overhead_ms,
        upload_ms, samples)
      values ($1, $2, $3, $4, $5, $6, $7,
        greatest(0, least(extract(epoch from now() - $9::timestamptz) * 1000, 86400000)), 1)
      on conflict (pool, capability, width, height, num_frames) do update set
        step_ms = p.step_ms
          + (excluded.step_ms - p.step_ms) * greatest($8, 1.0 / (p.samples + 1)),
        overhead_ms = p.overhead_ms
          + (excluded.overhead_ms - p.overhead_ms) * greatest($8, 1.0 / (p.samples + 1)),
        upload_ms = coalesce(
          p.upload_ms + (excluded.upload_ms - p.upload_ms) * greatest($8, 1.0 / (p.samples + 1)),
          excluded.upload_ms),
        samples = p.samples + 1`,
    values: [
      pool,
      shape.capability,
      shape.width,
      shape.height,
      shape.num_frames,
      pace.stepMs,
      pace.overheadMs,
      NEWEST_WEIGHT,
      releasedAt,
    ],
  })
}

/** Adds what a switch of models took to the running mean of the pool. */
export async function learnSwitch(db: Database, pool: string, switchMs: number): Promise<void> {
  await db.query({
    name: 'switch-learn',
    text: `insert into switch_pace as p (pool, switch_ms, samples)
      values ($1, $2, 1)
      on conflict (pool) do update set
        switch_ms = p.switch_ms + (excluded.switch_ms - p.switch_ms) * greatest($3, 1.0 / (p.samples + 1)),
        samples = p.samples + 1`,
    values: [pool, switchMs, NEWEST_WEIGHT],
  })
}
