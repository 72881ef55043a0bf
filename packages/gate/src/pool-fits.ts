/**
 * The rule which pool can make a shape; pool-fits-sql.ts of the API says the same in SQL. The gate asks
 * PostgreSQL, which skips all videos of a shape that does not fit; the forecast asks here. A shape fits when
 * the pool serves its capability, allows its frames and pixels, and its sequence (512 text tokens and the
 * video's) divides evenly over the devices it is split over.
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

/** Whether the pool can make the shape. */
export function fitsPool(pool: PoolLimits, shape: FittedShape): boolean {
  return (
    pool.capabilities.includes(shape.capability) &&
    shape.num_frames <= pool.framesMax &&
    shape.width * shape.height <= pool.pixelsMax &&
    (512n + shape.video_tokens) % BigInt(pool.sequenceDevices) === 0n
  )
}
