import type { RecentArrivals } from '@sluice/gate/forecast/arrivals'
import type { HeadRow } from '@sluice/gate/head-row'
import { capabilitiesOf } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
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
  const { db, catalogue } = parts
  const readAtMs = performance.now()
  const fleet = await readFleet(db, parts)
  const atMs = performance.now()
  const first = await readFirstOfQueues(db, everyCapability(catalogue, fleet), SIMULATED_MAX)
  const flexIds = fleet.inFlight.flatMap(({ tier, videoId }) => (tier === 'flex' ? videoId : []))
  const running = new Map((await readInFlight(db, flexIds)).map((row) => [row.id, row]))
  const recent = await arrivals.recent()
  const bounds = new EtaBounds(await readEtaOutcomes(db))
  return { readAtMs, atMs, fleet, ...first, running, recent, bounds }
}

/** What any queued video may need, also of a model that left the catalogue and is still served. */
function everyCapability(catalogue: Catalogue, fleet: Pick<ReadFleet, 'pools'>): string[] {
  const known = capabilitiesOf(
    catalogue.models.map((model) => model.id),
    MODES,
  )
  return [...new Set([...known, ...fleet.pools.flatMap((pool) => pool.capabilities)])]
}
