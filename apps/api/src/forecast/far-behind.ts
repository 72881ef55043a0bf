import type { Forecast as Expected, ExpectedEnd } from '@sluice/gate/forecast/expected-end'
import type { queueKeyOf } from '@sluice/gate/head-row'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Database } from '../db/database.ts'

/** How many videos a key has queued in a tier. */
export interface TierQueue {
  keyId: string
  tier: ServiceTier
  queued: number
}

/** A queue of which only the first videos were simulated. */
export interface CutQueue {
  /** Of the last that was, what is expected, and when it was submitted. */
  last: Expected & { createdAtMs: number }
  simulated: number
  /** How many stand behind it, about. */
  behind: number
}

/** Reads what these keys have queued: kept sums, nothing is counted. */
export async function readTierQueues(db: Database, keyIds: readonly string[]): Promise<TierQueue[]> {
  const { rows } = await db.query<TierQueue>({
    name: 'forecast-queued-of-keys',
    text: `select key_id as "keyId", service_tier as tier, sum(queued)::float8 as queued
      from queue_count
      where key_id = any ($1)
      group by 1, 2`,
    values: [keyIds],
  })
  return rows
}

/** What of a queued video its queue is known by. */
type QueuedRow = Parameters<typeof queueKeyOf>[0] & { id: string }

/**
 * The queues of which only the first videos were simulated. What a key has in a tier beside the simulated
 * ones stands behind those of its queues that were cut, to equal parts. `byQueue`: the simulated videos, by
 * `queueKeyOf`. Pure.
 */
export function cutQueuesOf(
  byQueue: ReadonlyMap<string, readonly QueuedRow[]>,
  isCut: (queueKey: string) => boolean,
  known: {
    tierQueues: readonly TierQueue[]
    forecasts: ReadonlyMap<string, Expected>
    createdAtMs: (id: string) => number
  },
): Map<string, CutQueue> {
  const nameOf = ({ keyId, tier }: Omit<TierQueue, 'queued'>) => `${keyId} ${tier}`
  const ofTier = ({ key_id: keyId, service_tier: tier }: QueuedRow) => nameOf({ keyId, tier })
  const queued = new Map(known.tierQueues.map((tierQueue) => [nameOf(tierQueue), tierQueue.queued]))
  const simulatedOfTier = new Map<string, number>()
  for (const videos of byQueue.values()) {
    const [row] = videos
    // All of a queue are of one key and tier.
    const tier = row === undefined ? '' : ofTier(row)
    simulatedOfTier.set(tier, (simulatedOfTier.get(tier) ?? 0) + videos.length)
  }
  const queues = [...byQueue].filter(([queueKey]) => isCut(queueKey))
  const cutOfTier = Map.groupBy(queues, ([, [row]]) => (row === undefined ? '' : ofTier(row)))
  const cut = new Map<string, CutQueue>()
  for (const [tier, of] of cutOfTier) {
    const rest = (queued.get(tier) ?? 0) - (simulatedOfTier.get(tier) ?? 0)
    for (const [queueKey, videos] of of) {
      const { id } = videos.reduce((newest, row) => (row.id > newest.id ? row : newest))
      const expected = known.forecasts.get(id)
      if (expected === undefined) continue
      const last = { ...expected, createdAtMs: known.createdAtMs(id) }
      cut.set(queueKey, { last, simulated: videos.length, behind: Math.max(0, rest) / of.length })
    }
  }
  return cut
}

/**
 * What is expected of a video behind those that were simulated: as they are served, so the others will be.
 * `createdAtMs`: between that of the last simulated one and now it says how many stand before it; null for
 * one that is not queued yet. `takesMs`: on its device, and to be stored. Pure.
 */
export function expectFarBehind(
  { last, simulated, behind }: CutQueue,
  {
    createdAtMs,
    nowMs,
    takesMs,
  }: { createdAtMs: number | null; nowMs: number; takesMs: (end: ExpectedEnd) => Took },
): Expected {
  const spanMs = Math.max(1, nowMs - last.createdAtMs)
  const share = createdAtMs === null ? 1 : Math.min(1, Math.max(0, (createdAtMs - last.createdAtMs) / spanMs))
  const factor = (simulated + 1 + behind * share) / simulated
  const position = last.position === null ? null : Math.round(last.position * factor)
  if (last.end === null) return { position, end: null }
  const startMs = last.end.startMs * factor
  const { deviceMs, uploadMs } = takesMs(last.end)
  const freeMs = startMs + deviceMs
  const storedMs = freeMs + uploadMs
  const lateMs = storedMs + (last.end.lateMs - last.end.storedMs) * factor
  return { position, end: { pool: last.end.pool, startMs, freeMs, storedMs, lateMs } }
}

/** Predicted milliseconds on a device, and from then until it is stored. */
interface Took {
  deviceMs: number
  uploadMs: number
}
