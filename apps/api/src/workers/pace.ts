import type { Database } from '../db/database.ts'

/** What a pace is measured for, besides its pool. */
export interface PacedShape {
  capability: string
  width: number
  height: number
  num_frames: number
}

/** What of a video its time on a device depends on. */
export interface PredictableVideo extends PacedShape {
  resolution: string
  video_tokens: bigint
}

export interface Pace {
  stepMs: number
  /** What a video takes besides its steps. */
  overheadMs: number
}

/** Measured paces, by pool, capability and shape. */
export type Paces = ReadonlyMap<string, Pace>

/**
 * Generated tokens per second of one H100 in the table Open-Sora publishes (60 s and 1,656 s for 50 steps of
 * 129 frames): the default for a pool and shape that nobody has measured yet.
 */
const PUBLISHED_TOKENS_PER_SECOND: Record<string, number> = { '256px': 7_040, '768px': 2_296 }
/** The animatic runner's own pace. */
const CPU_STEP_MS = 100
const DEFAULT_OVERHEAD_MS = 500
/** Weight of the newest sample in the running mean once there are several. */
const NEWEST_WEIGHT = 0.2

function paceKey(pool: string, shape: PacedShape): string {
  return `${pool} ${shape.capability} ${shape.width}x${shape.height}x${shape.num_frames}`
}

/** A row of table pace. A pool makes few shapes, so the table is read whole. */
export interface PaceRow extends PacedShape {
  pool: string
  step_ms: number
  overhead_ms: number
}

/** The paces in these rows. */
export function pacesOf(rows: readonly PaceRow[]): Paces {
  return new Map(
    rows.map((row) => [paceKey(row.pool, row), { stepMs: row.step_ms, overheadMs: row.overhead_ms }]),
  )
}

/**
 * Milliseconds `steps` steps of this video take on a slot of the pool: as measured, or from the published
 * table.
 */
export function predictDeviceMs(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
  steps: number,
): number {
  const pace = paces.get(paceKey(pool.pool, video)) ?? defaultPace(pool.device, video)
  return pace.overheadMs + pace.stepMs * steps
}

function defaultPace(device: string, video: PredictableVideo): Pace {
  if (device === 'cpu') return { stepMs: CPU_STEP_MS, overheadMs: DEFAULT_OVERHEAD_MS }
  const tokensPerSecond = PUBLISHED_TOKENS_PER_SECOND[video.resolution] ?? 2_296
  return { stepMs: (Number(video.video_tokens) * 1_000) / tokensPerSecond, overheadMs: DEFAULT_OVERHEAD_MS }
}

/** Adds a finished attempt's pace to the running mean of its pool and shape. */
export async function learnPace(db: Database, pool: string, shape: PacedShape, pace: Pace): Promise<void> {
  await db.query({
    name: 'pace-learn',
    text: `insert into pace as p (pool, capability, width, height, num_frames, step_ms, overhead_ms, samples)
      values ($1, $2, $3, $4, $5, $6, $7, 1)
      on conflict (pool, capability, width, height, num_frames) do update set
        step_ms = p.step_ms
          + (excluded.step_ms - p.step_ms) * greatest($8, 1.0 / (p.samples + 1)),
        overhead_ms = p.overhead_ms
          + (excluded.overhead_ms - p.overhead_ms) * greatest($8, 1.0 / (p.samples + 1)),
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
    ],
  })
}
