import { modelOfCapability } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { findSize } from '@sluice/shared/models/sizes'
import { videoTokens } from '@sluice/shared/token-count'
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

/** What was measured, by pool, capability and shape, and what the models say of what was not. */
export interface Paces {
  measured: ReadonlyMap<string, Pace>
  rows: readonly PaceRow[]
  catalogue: Catalogue
}

/** Of a model that says nothing: as slow as the slowest that a GPU is usually given. */
const UNKNOWN_TOKENS_PER_SECOND = 2_000
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

/** The paces in these rows, and those that the models of the catalogue are taken to have. */
export function pacesOf(rows: readonly PaceRow[], catalogue: Catalogue): Paces {
  const measured = rows.map(
    (row) => [paceKey(row.pool, row), { stepMs: row.step_ms, overheadMs: row.overhead_ms }] as const,
  )
  return { measured: new Map(measured), rows, catalogue }
}

/**
 * Milliseconds `steps` steps of this video take on a slot of the pool: as measured, or by what was measured
 * there of another shape of its class, or as the model says of its class.
 */
export function predictDeviceMs(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
  steps: number,
): number {
  const pace =
    paces.measured.get(paceKey(pool.pool, video)) ??
    paceOfClass(paces, pool, video) ??
    defaultPace(paces, pool.device, video)
  return pace.overheadMs + pace.stepMs * steps
}

/**
 * The pace that was measured of the shape that is nearest in tokens, by the tokens of both. A GPU takes about
 * as long for each token of a class. Undefined without one; the animatic runner's steps have no size.
 */
function paceOfClass(
  { rows, catalogue }: Paces,
  { pool, device }: { pool: string; device: string },
  video: PredictableVideo,
): Pace | undefined {
  const model = catalogue.find(modelOfCapability(video.capability))
  if (device === 'cpu' || model === undefined) return undefined
  const ratios = rows
    .filter((row) => row.pool === pool && row.capability === video.capability)
    .filter((row) => findSize(model, `${row.width}x${row.height}`)?.resolution === video.resolution)
    .map((row) => {
      const tokens = videoTokens(model.tokens, { ...row, frames: row.num_frames })
      return { row, ratio: Number(video.video_tokens) / Number(tokens) }
    })
    .sort((one, other) => Math.abs(Math.log(one.ratio)) - Math.abs(Math.log(other.ratio)))
  const [nearest] = ratios
  if (nearest === undefined) return undefined
  const { row, ratio } = nearest
  return { stepMs: row.step_ms * ratio, overheadMs: row.overhead_ms * ratio }
}

function defaultPace({ catalogue }: Paces, device: string, video: PredictableVideo): Pace {
  if (device === 'cpu') return { stepMs: CPU_STEP_MS, overheadMs: DEFAULT_OVERHEAD_MS }
  const said = catalogue.find(modelOfCapability(video.capability))?.tokensPerSecond[video.resolution]
  const tokensPerSecond = said ?? UNKNOWN_TOKENS_PER_SECOND
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
