import type { RecentArrivals } from '@sluice/gate/forecast/arrivals'
import type { HeadRow } from '@sluice/gate/head-row'
import { capabilitiesOf } from '@sluice/shared/models/capability'
import { MODES } from '@sluice/shared/models/model'
import type { Database } from '../db/database.ts'
import { type FleetSettings, type ReadFleet, readFleet } from '../gate/fleet.ts'
import { readFirstOfQueues, readInFlight } from '../gate/queue-heads.ts'
import { EtaBounds } from './eta-bounds.ts'
import { readEtaOutcomes } from './eta-outcomes.ts'
import type { Arrivals } from './recent-arrivals.ts'

/** Videos simulated one by one; those behind them in their queues are taken to be served as they are. */
export const SIMULATED_MAX = 2_000

/** What is simulated: the fleet, the first videos of each queue, and what those that come next are like. */
export interface Snapshot {
  /** When its reading began, by the process's clock. */
  readAtMs: number
  fleet: ReadFleet
  rows: HeadRow[]
  /** The most videos of one queue there are in `rows`. */
  perQueue: number
  /** Flex videos that are on a device, by id. */
  running: ReadonlyMap<string, HeadRow>
  recent: RecentArrivals
  bounds: EtaBounds
  /** When it was read, by the clock of `performance.now()`. */
  atMs: number
}

export interface SnapshotParts extends FleetSettings {
  db: Database
}

/** Reads all that forecasts are made of. */
export async function readSnapshot(parts: SnapshotParts, arrivals: Arrivals): Promise<Snapshot> {
  const { db } = parts
  const readAtMs = performance.now()
  const { queued, fleet, atMs } = await readQueuedThenFleet(parts)
  const flexIds = fleet.inFlight.flatMap(({ tier, videoId }) => (tier === 'flex' ? videoId : []))
  const running = new Map((await readInFlight(db, flexIds)).map((row) => [row.id, row]))
  const recent = await arrivals.recent()
  const bounds = new EtaBounds(await readEtaOutcomes(db))
  return { readAtMs, atMs, fleet, ...queued, running, recent, bounds }
}

/**
 * The queue is read first: what is dispatched meanwhile is then in both, and counts as dispatched, where it
 * would be in neither the other way round.
 */
async function readQueuedThenFleet({ db, catalogue, ...settings }: SnapshotParts) {
  const known = capabilitiesOf(
    catalogue.models.map((model) => model.id),
    MODES,
  )
  const ofCatalogue = await readFirstOfQueues(db, known, SIMULATED_MAX)
  const fleet = await readFleet(db, { catalogue, ...settings })
  const atMs = performance.now()
  const others = fleet.pools.flatMap(({ capabilities }) => capabilities).filter((one) => !known.includes(one))
  const { rows, perQueue } =
    // A model may have left the catalogue and still be served.
    others.length === 0
      ? ofCatalogue
      : await readFirstOfQueues(db, [...known, ...new Set(others)], SIMULATED_MAX)
  const dispatched = new Set(fleet.inFlight.map(({ videoId }) => videoId))
  return { queued: { rows: rows.filter(({ id }) => !dispatched.has(id)), perQueue }, fleet, atMs }
}
