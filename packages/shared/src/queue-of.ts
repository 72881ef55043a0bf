import { createHash } from 'node:crypto'
import type { Heartbeat } from './attempt-contract.ts'

const HASH_CHARS = 12

/**
 * The queue that workers of this pool read which serve exactly this: the same for all of them, and another
 * for those that serve something else. `h100x1.5f0c9a71be02`.
 */
export function queueOf({
  pool,
  models,
  modes = [],
  limits,
}: Pick<Heartbeat, 'pool' | 'models' | 'modes' | 'limits'>): string {
  const served = [
    [...new Set(models)].sort(),
    [...new Set(modes)].sort(),
    [limits.frames_max, limits.pixels_max, limits.sequence_devices ?? null],
  ]
  const hash = createHash('sha256').update(JSON.stringify(served)).digest('hex')
  return `${pool}.${hash.slice(0, HASH_CHARS)}`
}
