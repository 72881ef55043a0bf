import type { ServiceTier } from '@sluice/shared/service-tier'
import type { FlexSchedule } from '../flex/flex-price.ts'
import type { DevicePace } from '../pace.ts'

/*
 * What a simulated installation is asked for, what it has, and what came of it. All times are milliseconds
 * since the simulation began.
 */

/** Slots that make one video at a time each, all at the same pace. */
export interface PlannedPool {
  pool: string
  slots: number
  /** What a switch of models takes there; 0 or left out = each slot has all of them loaded. */
  switchMs?: number
  /** What a slot costs an hour: flex goes to the cheapest pool. Null or left out = not known. */
  costPerHourMicros?: bigint | null
}

/** Who submits. What is left out is as it is for a new account. */
export interface PlannedAccount {
  id: string
  /** 100 = normal. */
  weight?: number
  /** Videos of it that may run at once; null = no limit. */
  runningMax?: number | null
  keys?: readonly PlannedKey[]
}

export interface PlannedKey {
  id: string
  /** Videos of it that may run at once; null = no limit. */
  runningMax?: number | null
}

/** Videos of one model, size, length and number of steps. Those of one kind, key and tier are a line. */
export interface VideoKind {
  name: string
  model: string
  steps: number
  /** What one video of it generates, and is charged for. */
  tokens: number
  /** By the pool's name; a pool that is not named cannot make it. */
  paces: Readonly<Record<string, DevicePace>>
}

/** One submission. */
export interface DemandedVideo {
  atMs: number
  accountId: string
  /** Left out = a key of the account that has no limit of its own. */
  keyId?: string
  tier: ServiceTier
  /** One of the demand's kinds. */
  kind: VideoKind
  /** It ends unfinished this long after it was submitted; left out = never. */
  expiresAfterMs?: number
  /** Of flex: it is not dispatched before this. */
  notBeforeMs?: number
  /** Of flex: it waits while flex costs more than this factor, in basis points; left out = any price. */
  maxMultiplierBps?: number
  /** How many times as long as predicted it really takes; left out = 1. */
  slowness?: number
}

/** The settings of the installation; what is left out has the default of docs/settings.md. */
export interface PlannedSettings {
  accountSharePercent?: number
  switchWaitMsMax?: number
  flexRunMsMin?: number
  /** How long before it is free a slot is given away. */
  nearlyFreeMs?: number
}

/** What flex costs in a demand. */
export interface PlannedFlex {
  schedule: FlexSchedule
  /** What time it is when the simulation begins, since the Unix epoch; left out = midnight, UTC. */
  startsAtMs?: number
}

export interface Demand {
  /** In any order; the gate has its own. */
  pools: readonly PlannedPool[]
  kinds: readonly VideoKind[]
  /** Accounts that are not listed are new ones. */
  accounts?: readonly PlannedAccount[]
  /** In the order of submission. May be made while it is read: only those that wait or run are kept. */
  videos: Iterable<DemandedVideo>
  settings?: PlannedSettings
  /** What flex costs; left out = nobody asks, and no flex video waits for its time. */
  flex?: PlannedFlex
  /** Nothing is counted from then on; infinite = until nothing happens any more. */
  horizonMs: number
  /** How often the backlog is noted down; left out = never. */
  sampleEveryMs?: number
  /** Hears of each video as it ends, and at the horizon of those that have not. */
  onEnded?: (ended: EndedVideo) => void
  /** Hears of each run of a video on a slot as it is over, and at the horizon of those that are not. */
  onRun?: (run: VideoRun) => void
}

/** One stretch of a video on a slot. */
export interface VideoRun {
  /** The video's place in `videos`, from 0. */
  number: number
  pool: string
  /** The slot's place in the pool, from 0. */
  slot: number
  startedAtMs: number
  /** Of its time, what a switch of models took before it. */
  switchMs: number
  endedAtMs: number
}

/** What became of a video. */
export interface EndedVideo {
  video: DemandedVideo
  /** Its place in `videos`, from 0. */
  number: number
  outcome: 'completed' | 'expired' | 'running' | 'queued'
  /** When it first started; null = it never did. */
  startedAtMs: number | null
  /** Where it ran last; null = nowhere. */
  pool: string | null
  endedAtMs: number
  /** Device time of all its runs, with switches. */
  deviceMs: number
  /** Times that it made room. */
  yields: number
  /** What flex cost when it was first dispatched, in basis points; null where that is not asked for. */
  multiplierBps: number | null
}

export interface TierOutcome {
  submitted: number
  completed: number
  expired: number
  /** At the end of the simulation. */
  running: number
  queued: number
  /** Times that one of them made room. */
  yields: number
  /** Of those that completed. */
  tokens: number
  /** From its submission until it first started, of each that did, in rising order. */
  waitsMs: Float64Array
  /** From its submission until it was there, of each that completed, in rising order. */
  turnaroundsMs: Float64Array
}

export interface PoolOutcome {
  slots: number
  /** Slots times the time that was simulated. */
  availableMs: number
  /** With switches, as docs/economics.md counts it. */
  busyMs: number
  switchedMs: number
  switches: number
  yields: number
  completed: number
  tokens: number
}

export interface AccountOutcome {
  submitted: number
  completed: number
  tokens: number
  /** With switches. */
  deviceMs: number
  /** Of those that started. */
  longestWaitMs: number
}

/** What waits and runs at one moment. */
export interface BacklogSample {
  atMs: number
  queued: Record<ServiceTier, number>
  /** Slots that are busy, by pool. */
  busy: Readonly<Record<string, number>>
}

export interface DemandOutcome {
  /** The horizon; without one, when the last video ended. */
  endedAtMs: number
  tiers: Record<ServiceTier, TierOutcome>
  pools: ReadonlyMap<string, PoolOutcome>
  accounts: ReadonlyMap<string, AccountOutcome>
  /** Every `sampleEveryMs` from 0 on. */
  backlog: BacklogSample[]
}

/** The value that a share of them (0 to 1) do not exceed, of values in rising order; NaN of none. */
export function quantile(risingValues: Float64Array, share: number): number {
  const at = Math.min(risingValues.length - 1, Math.max(0, Math.ceil(share * risingValues.length) - 1))
  return risingValues[at] ?? Number.NaN
}
