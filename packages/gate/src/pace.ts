import { modelOfCapability } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { findSize } from '@sluice/shared/models/sizes'
import { videoTokens } from '@sluice/shared/token-count'

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

export interface DevicePace {
  stepMs: number
  /** What a video takes on its device besides its steps. */
  overheadMs: number
}

export interface Pace extends DevicePace {
  /** From the moment its device is free until it is stored: encoding, checks, upload. */
  uploadMs: number
}

/** What was measured, by pool, capability and shape, and what the models say of what was not. */
export interface Paces {
  measured: ReadonlyMap<string, Pace>
  rows: readonly PaceRow[]
  catalogue: Catalogue
  /** What `paceOfClass` found, by pool, capability and shape; null = nothing. */
  ofClass: Map<string, Pace | null>
}

/** Of a model that says nothing: as slow as the slowest that a GPU is usually given. */
const UNKNOWN_TOKENS_PER_SECOND = 2_000
/** The animatic runner's own pace. */
const CPU_STEP_MS = 100
const DEFAULT_OVERHEAD_MS = 500
const DEFAULT_UPLOAD_MS = 500

function paceKey(pool: string, shape: PacedShape): string {
  return `${pool} ${shape.capability} ${shape.width}x${shape.height}x${shape.num_frames}`
}

/** A row of table pace. A pool makes few shapes, so the table is read whole. */
export interface PaceRow extends PacedShape {
  pool: string
  step_ms: number
  overhead_ms: number
  /** Null until an upload was measured. */
  upload_ms: number | null
}

/** The paces in these rows, and those that the models of the catalogue are taken to have. */
export function pacesOf(rows: readonly PaceRow[], catalogue: Catalogue): Paces {
  const measured = rows.map(
    (row) =>
      [
        paceKey(row.pool, row),
        { stepMs: row.step_ms, overheadMs: row.overhead_ms, uploadMs: row.upload_ms ?? DEFAULT_UPLOAD_MS },
      ] as const,
  )
  return { measured: new Map(measured), rows, catalogue, ofClass: new Map() }
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
  const pace = predictPace(paces, pool, video)
  return pace.overheadMs + pace.stepMs * steps
}

/** Milliseconds from the moment the device of this video is free until it is stored, by the same rule. */
export function predictUploadMs(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
): number {
  return predictPace(paces, pool, video).uploadMs
}

/** What a video takes on a slot of the pool, by the same rule. */
export function predictPace(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
): Pace {
  return (
    paces.measured.get(paceKey(pool.pool, video)) ??
    paceOfClass(paces, pool, video) ??
    defaultPace(paces, pool.device, video)
  )
}

/** Whether a pace was measured of this video on the pool, or of another shape of its class. */
export function isPaceKnown(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
): boolean {
  return (paces.measured.get(paceKey(pool.pool, video)) ?? paceOfClass(paces, pool, video)) !== undefined
}

/** Looked for once: a simulation asks for the same shape thousands of times. */
function paceOfClass(
  paces: Paces,
  pool: { pool: string; device: string },
  video: PredictableVideo,
): Pace | undefined {
  const key = paceKey(pool.pool, video)
  const known = paces.ofClass.get(key)
  if (known !== undefined) return known ?? undefined
  const found = findPaceOfClass(paces, pool, video)
  paces.ofClass.set(key, found ?? null)
  return found
}

/**
 * The pace that was measured of the shape that is nearest in tokens, by the tokens of both. A GPU takes about
 * as long for each token of a class. Undefined without one; the animatic runner's steps have no size.
 */
function findPaceOfClass(
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
  return {
    stepMs: row.step_ms * ratio,
    overheadMs: row.overhead_ms * ratio,
    uploadMs: (row.upload_ms ?? DEFAULT_UPLOAD_MS) * ratio,
  }
}

function defaultPace({ catalogue }: Paces, device: string, video: PredictableVideo): Pace {
  const besides = { overheadMs: DEFAULT_OVERHEAD_MS, uploadMs: DEFAULT_UPLOAD_MS }
  if (device === 'cpu') return { ...besides, stepMs: CPU_STEP_MS }
  const said = catalogue.find(modelOfCapability(video.capability))?.tokensPerSecond[video.resolution]
  const tokensPerSecond = said ?? UNKNOWN_TOKENS_PER_SECOND
  return { ...besides, stepMs: (Number(video.video_tokens) * 1_000) / tokensPerSecond }
}
