import type { Pool } from '@sluice/gate/fleet'
import { multiplierAt } from '@sluice/gate/flex/flex-price'
import { isPaceKnown, type Paces, predictDeviceMs } from '@sluice/gate/pace'
import { fitsPool } from '@sluice/gate/pool-fits'
import { modelOfCapability } from '@sluice/shared/models/capability'
import type { Config } from '../config/config.ts'
import type { DatabasePool } from '../db/database.ts'
import { readFleet } from '../gate/fleet.ts'
import { type FlexMarket, multiplierNow } from '../prices/flex-market.ts'
import { readPricesInForce } from '../prices/price-store.ts'
import { type Demand, type DemandRow, readDemand, sumDemandFor } from './demand-hours.ts'

/** Hours that are due are summed before they are read: in a small installation all of them. */
const SUM_FIRST_MS = 2_000

/** What a running installation would tell a planner. */
export interface ServicePlan {
  demand: Demand
  pools: ServicePool[]
  paces: ServicePace[]
  /** Of the models and classes that were asked for, those that have one. */
  prices: { model: string; resolution: string; microsPerMillion: bigint }[]
  accounts: ServiceAccount[]
  /** What flex costs of the price of a class, on average over the day. */
  flexMultiplierBps: number
}

/** Living workers that read the same queue. */
interface ServicePool extends Pool {
  /** The pool's own name, or its queue's where a pool has several. */
  name: string
  gpusPerSlot: number
  /** Of a slot, on average; null when one of its workers declared none. */
  slotPriceMicrosPerHour: bigint | null
}

interface ServicePace {
  pool: string
  capability: string
  width: number
  height: number
  numFrames: number
  stepMs: number
  overheadMs: number
  /** False: it is what the model is taken to do where nobody has measured it. */
  isMeasured: boolean
}

interface ServiceAccount {
  id: string
  name: string
  weight: number
  runningMax: number | null
}

/** Reads what a plan needs: demand and mix of the last `days` days, and all else as it is now. */
export async function readServicePlan(
  pool: DatabasePool,
  config: Config,
  days: number,
): Promise<ServicePlan> {
  await sumDemandFor(pool, SUM_FIRST_MS)
  const demand = await readDemand(pool, days)
  const { leaseMs } = config.timings
  const flexMultiplierBps = config.tierMultiplierBps.flex
  const fleet = await readFleet(pool, { ...config, leaseMs, flexMultiplierBps })
  const pools = await readPools(pool, fleet.pools, leaseMs)
  const inForce = await readPricesInForce(pool, config.currency)
  const kinds = Map.groupBy(demand.rows, (row) => `${modelOfCapability(row.capability)} ${row.resolution}`)
  const prices = [...kinds.values()].flatMap(([row]) => {
    if (row === undefined) return []
    const model = modelOfCapability(row.capability)
    const microsPerMillion = inForce.of(model, row.resolution)
    return microsPerMillion === null ? [] : [{ model, resolution: row.resolution, microsPerMillion }]
  })
  const accounts = await readAccounts(pool, [...new Set(demand.rows.map((row) => row.account_id))])
  return {
    demand,
    pools,
    paces: pacesFor(demand.rows, pools, fleet.paces),
    prices,
    accounts,
    flexMultiplierBps: meanMultiplier(fleet.flex, demand),
  }
}

/** Of a schedule by hour its mean, weighted by what is asked for in each; else what is in force now. */
function meanMultiplier(market: FlexMarket, { hours }: Demand): number {
  if (market.schedule.by !== 'hour') return multiplierNow(market)
  const weights = hours.map(({ videos, lookedAtHours }) =>
    lookedAtHours === 0 ? 0 : Number(videos) / lookedAtHours,
  )
  const sum = weights.reduce((total, weight) => total + weight, 0)
  if (sum === 0) return multiplierNow(market)
  const weighted = weights.reduce(
    (total, weight, hour) =>
      total + weight * multiplierAt(market.schedule, { atMs: hour * 3_600_000, utilisation: 0 }),
    0,
  )
  return Math.round(weighted / sum)
}

async function readPools(db: DatabasePool, pools: readonly Pool[], leaseMs: number): Promise<ServicePool[]> {
  const { rows } = await db.query<{ queue: string; gpus_per_slot: number }>({
    text: `select queue, max(devices_per_slot) as gpus_per_slot
      from living_worker($1) group by queue`,
    values: [leaseMs],
  })
  return pools.map((pool) => {
    const declared = rows.find(({ queue }) => queue === pool.queue)
    const isAlone = pools.every((other) => other === pool || other.pool !== pool.pool)
    return {
      ...pool,
      name: isAlone ? pool.pool : pool.queue,
      gpusPerSlot: declared?.gpus_per_slot ?? 1,
      slotPriceMicrosPerHour: pool.costPerHourMicros,
    }
  })
}

/** The pace of each shape that was asked for on each pool that makes it. */
function pacesFor(rows: readonly DemandRow[], pools: readonly ServicePool[], paces: Paces): ServicePace[] {
  const shapes = Map.groupBy(
    rows,
    (row) => `${row.capability} ${row.width}x${row.height}x${row.num_frames} ${row.video_tokens}`,
  )
  const asked = [...shapes.values()].flatMap(([row]) => row ?? [])
  return pools.flatMap((pool) =>
    asked
      .filter((shape) => fitsPool(pool, shape))
      .map((shape) => {
        const overheadMs = predictDeviceMs(paces, pool, shape, 0)
        return {
          pool: pool.name,
          capability: shape.capability,
          width: shape.width,
          height: shape.height,
          numFrames: shape.num_frames,
          stepMs: predictDeviceMs(paces, pool, shape, 1) - overheadMs,
          overheadMs,
          isMeasured: isPaceKnown(paces, pool, shape),
        }
      }),
  )
}

async function readAccounts(db: DatabasePool, ids: readonly string[]): Promise<ServiceAccount[]> {
  const { rows } = await db.query<ServiceAccount>({
    text: `select id, name, weight, running_max as "runningMax" from account
      where id = any ($1) order by id`,
    values: [ids],
  })
  return rows
}
