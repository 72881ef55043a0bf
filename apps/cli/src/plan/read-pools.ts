import { type PaceRow, type Paces, pacesOf } from '@sluice/gate/pace'
import { fitsPool } from '@sluice/gate/pool-fits'
import { capabilityOf } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { MODES } from '@sluice/shared/models/model'
import type { Faults } from './faults.ts'
import type { PlannedPool, PlannedVideo } from './plan.ts'
import type { Row } from './row.ts'
import { type PlanText, sectionRows } from './sections.ts'

const GPUS_MAX = 100_000
const DAY_MS = 86_400_000
const POOL_FIELDS = [
  ...['pool', 'gpus', 'gpus_per_slot', 'gpu_price_per_hour', 'slot_price_per_hour', 'models'],
  ...['device', 'switch_seconds', 'frames_max', 'pixels_max', 'sequence_devices'],
]

/** Reads `pools`. */
export function readPools(text: PlanText, faults: Faults): PlannedPool[] {
  const pools = new Map<string, PlannedPool>()
  for (const row of sectionRows(text, 'pools', faults)) {
    row.allow(POOL_FIELDS)
    const pool = readPool(row)
    if (pool.pool !== '' && pools.has(pool.pool)) row.refuse('pool', 'each pool stands there once')
    pools.set(pool.pool, pool)
  }
  return [...pools.values()]
}

function readPool(row: Row): PlannedPool {
  const gpusPerSlot = row.whole('gpus_per_slot', { min: 1, max: 1_000, otherwise: 1 })
  const gpus = row.whole('gpus', { min: 1, max: GPUS_MAX })
  if (gpus % gpusPerSlot !== 0) row.refuse('gpus', `allowed are multiples of ${gpusPerSlot}, gpus_per_slot`)
  return {
    pool: row.name('pool'),
    device: row.text('device', 'cuda'),
    slots: gpus / gpusPerSlot,
    gpusPerSlot,
    slotPriceMicrosPerHour: readPrice(row, gpusPerSlot),
    switchMs: 1_000 * row.number('switch_seconds', { min: 0, max: 3_600, otherwise: 20 }),
    // A model, or with `/t2i2v` behind it what needs its image model as well.
    capabilities: row.words('models'),
    framesMax: row.whole('frames_max', { min: 1, max: 1e9, otherwise: 1e9 }),
    pixelsMax: row.whole('pixels_max', { min: 1, max: 1e12, otherwise: 1e12 }),
    sequenceDevices: row.whole('sequence_devices', { min: 1, max: 1_000, otherwise: 1 }),
  }
}

/** Null when the row says none: then the cost is not known. */
function readPrice(row: Row, gpusPerSlot: number): bigint | null {
  if (row.has('slot_price_per_hour') && row.has('gpu_price_per_hour'))
    row.refuse('slot_price_per_hour', 'allowed is either that or gpu_price_per_hour')
  if (row.has('slot_price_per_hour')) return row.cost('slot_price_per_hour')
  return row.has('gpu_price_per_hour') ? row.cost('gpu_price_per_hour') * BigInt(gpusPerSlot) : null
}

interface PacedBy {
  catalogue: Catalogue
  pools: readonly PlannedPool[]
  mix: readonly PlannedVideo[]
}

/**
 * Reads `paces`: milliseconds of a step and of what a video takes besides, by shape; or tokens per second by
 * class, which become a pace for each shape of the mix.
 */
export function readPaces(
  text: PlanText,
  by: PacedBy,
  faults: Faults,
): { paces: Paces; assumedPaces: string[] } {
  const assumed = new Set<string>()
  const ofClasses: PaceRow[] = []
  const ofShapes: PaceRow[] = []
  for (const row of sectionRows(text, 'paces', faults)) {
    const isByClass = row.has('tokens_per_second')
    row.allow([
      ...['pool', 'model', 'mode', 'overhead_ms', 'measured'],
      ...(isByClass ? ['class', 'tokens_per_second'] : ['size', 'frames', 'step_ms']),
    ])
    const pool = row.name('pool')
    const found = by.pools.find((candidate) => candidate.pool === pool)
    if (found === undefined && !row.isFaulty) row.refuse('pool', `allowed are ${namesOf(by.pools)}`)
    if (row.isFalse('measured')) assumed.add(`${capabilityIn(row)} on ${pool}`)
    if (isByClass) ofClasses.push(...pacesOfClass(row, pool, by))
    else ofShapes.push(paceOfShape(row, pool))
  }
  // Of two that say the same the last one counts: what was measured of the very shape.
  const paces = pacesOf([...ofClasses, ...ofShapes], by.catalogue)
  return { paces, assumedPaces: [...assumed] }
}

function namesOf(pools: readonly PlannedPool[]): string {
  return pools.map(({ pool }) => pool).join(', ')
}

function capabilityIn(row: Row): string {
  return capabilityOf({ model: row.name('model'), mode: row.choice('mode', MODES, 't2v') })
}

function overheadIn(row: Row): number {
  return row.number('overhead_ms', { min: 0, max: DAY_MS, otherwise: 0 })
}

function paceOfShape(row: Row, pool: string): PaceRow {
  const size = sizeIn(row)
  return {
    pool,
    capability: capabilityIn(row),
    ...size,
    num_frames: row.whole('frames', { min: 1, max: 1_000_000 }),
    step_ms: row.number('step_ms', { min: 0.001, max: DAY_MS }),
    overhead_ms: overheadIn(row),
    upload_ms: null,
  }
}

/** The sides of field `size`, such as 336x192. */
export function sizeIn(row: Row): { width: number; height: number } {
  const [, width, height] = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/.exec(row.text('size', '')) ?? []
  if (width !== undefined && height !== undefined) return { width: Number(width), height: Number(height) }
  row.refuse('size', 'allowed is a size such as 336x192')
  return { width: 1, height: 1 }
}

function pacesOfClass(row: Row, pool: string, { pools, mix }: PacedBy): PaceRow[] {
  const capability = capabilityIn(row)
  const resolution = row.name('class')
  const tokensPerSecond = row.number('tokens_per_second', { min: 0.001, max: 1e12 })
  const overheadMs = overheadIn(row)
  const maker = pools.find((candidate) => candidate.pool === pool)
  return mix
    .filter((video) => video.capability === capability && video.resolution === resolution)
    .filter((video) => maker !== undefined && fitsPool(maker, video))
    .map(({ width, height, num_frames, video_tokens }) => ({
      pool,
      capability,
      width,
      height,
      num_frames,
      step_ms: (Number(video_tokens) * 1_000) / tokensPerSecond,
      overhead_ms: overheadMs,
      upload_ms: null,
    }))
}
