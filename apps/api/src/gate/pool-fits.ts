/**
 * The rule which pool can make a shape, as SQL and as TypeScript. The gate asks PostgreSQL, which skips all
 * videos of a shape that does not fit; the forecast asks here. A shape fits when the pool serves its
 * capability, allows its frames and pixels, and its sequence (512 text tokens and the video's) divides evenly
 * over the devices it is split over.
 */

/** What a pool can make. */
export interface PoolLimits {
  capabilities: readonly string[]
  framesMax: number
  pixelsMax: number
  sequenceDevices: number
}

/** What of a video decides whether a pool can make it. */
export interface FittedShape {
  capability: string
  width: number
  height: number
  num_frames: number
  video_tokens: bigint
}

/** `FITS_POOL_SQL`'s parameters $1 to $4. */
export function fitsPoolValues(pool: PoolLimits): [readonly string[], number, number, number] {
  return [pool.capabilities, pool.framesMax, pool.pixelsMax, pool.sequenceDevices]
}

/** Whether the pool of parameters $1 to $4 can make the shape `s`. */
export const FITS_POOL_SQL = `s.capability = any ($1::text[])
  and s.num_frames <= $2
  and s.width * s.height <= $3
  and (512 + s.video_tokens) % $4 = 0`

/** Whether the pool can make the shape. */
export function fitsPool(pool: PoolLimits, shape: FittedShape): boolean {
  return (
    pool.capabilities.includes(shape.capability) &&
    shape.num_frames <= pool.framesMax &&
    shape.width * shape.height <= pool.pixelsMax &&
    (512n + shape.video_tokens) % BigInt(pool.sequenceDevices) === 0n
  )
}
