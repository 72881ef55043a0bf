import type { PoolLimits } from '@sluice/gate/pool-fits'

/** `FITS_POOL_SQL`'s parameters $1 to $4. */
export function fitsPoolValues(pool: PoolLimits): [readonly string[], number, number, number] {
  return [pool.capabilities, pool.framesMax, pool.pixelsMax, pool.sequenceDevices]
}

/** Whether the pool of parameters $1 to $4 can make the shape `s`. */
export const FITS_POOL_SQL = `s.capability = any ($1::text[])
  and s.num_frames <= $2
  and s.width * s.height <= $3
  and (512 + s.video_tokens) % $4 = 0`
