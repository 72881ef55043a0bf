import type { Paces, PredictableVideo } from '@sluice/gate/pace'
import type { PoolLimits } from '@sluice/gate/pool-fits'
import type { ServiceTier } from '@sluice/shared/service-tier'

/** A demand, and the pools, prices and accounts that it meets. All of it was judged. */
export interface Plan {
  currency: string
  mix: readonly PlannedVideo[]
  demand: HourlyDemand | Trace
  pools: readonly PlannedPool[]
  paces: Paces
  /** Of which pools and classes the pace is what the model says, since nobody measured it. */
  assumedPaces: readonly string[]
  prices: readonly PlannedPrice[]
  multiplierBps: Readonly<Record<ServiceTier, bigint>>
  accounts: readonly PlannedAccount[]
  /** Share of a pool that one account may occupy while others are active. */
  accountSharePercent: number
  /** The longest that a video is passed over because of what is loaded; 0 = never. */
  switchWaitMsMax: number
  /** Nine in ten videos of the tier should wait no longer. */
  waitMsMax: Readonly<Record<ServiceTier, number>>
  /** A video that is not finished this long after its submission fails. */
  expiresMs: Readonly<Record<ServiceTier, number>>
}

/** Videos that differ in nothing but when they are submitted. */
export interface PlannedVideo extends PredictableVideo {
  model: string
  num_steps: number
  tier: ServiceTier
  account: string
  /** Generated tokens: video tokens times steps. */
  tokens: bigint
  /** Of all videos, relative to the others. */
  share: number
}

/** Videos that are expected in each hour of the day. */
export interface HourlyDemand {
  kind: 'hours'
  /** 24 numbers. */
  videosPerHour: readonly number[]
}

/** Submissions as they came, or shall come. */
export interface Trace {
  kind: 'trace'
  /** Milliseconds from the beginning, rising. */
  atMs: Float64Array
  /** Which entry of the mix each is. */
  mixIndex: Uint32Array
}

export interface PlannedPool extends PoolLimits {
  pool: string
  device: string
  slots: number
  gpusPerSlot: number
  /** Null = not known. */
  slotPriceMicrosPerHour: bigint | null
  switchMs: number
}

export interface PlannedPrice {
  model: string
  resolution: string
  microsPerMillion: bigint
}

export interface PlannedAccount {
  account: string
  weight: number
  runningMax: number | null
  /** Of the videos of the mix that name no account, relative to the others. */
  share: number
}

/** GPUs of all pools, or of these. */
export function gpusOf(pools: readonly Pick<PlannedPool, 'slots' | 'gpusPerSlot'>[]): number {
  return pools.reduce((sum, { slots, gpusPerSlot }) => sum + slots * gpusPerSlot, 0)
}
