import { type InFlight, occupiesSlot, type Pool } from '../fleet.ts'

/*
 * What flex costs at a moment. The operator's schedule has steps, by hour of the day or by utilisation, each
 * with a factor on the prices of all models and classes.
 */

/** From a value on, up to the next step's: an hour of the day (UTC), or percent of utilisation. */
interface FlexStep {
  from: number
  /** On the price of a class, in basis points: 10,000 = 1x. */
  multiplierBps: number
}

export const FLEX_SCHEDULE_KINDS = ['hour', 'utilisation'] as const

/** The operator's prices of flex. The first step begins at 0, and each later one above the one before. */
export interface FlexSchedule {
  by: (typeof FLEX_SCHEDULE_KINDS)[number]
  steps: readonly FlexStep[]
}

/** What a price is asked for. */
export interface FlexMoment {
  /** Since the Unix epoch. */
  atMs: number
  /** As `utilisationAfter` keeps it, from 0 to 1. */
  utilisation: number
}

/** The schedule, and where it stands. */
export interface FlexPrices extends FlexMoment {
  schedule: FlexSchedule
}

const HOUR_MS = 3_600_000
const HOURS_OF_DAY = 24

/** One price at all times. */
export function fixedSchedule(multiplierBps: number): FlexSchedule {
  return { by: 'hour', steps: [{ from: 0, multiplierBps }] }
}

/** The factor at a moment, in basis points. */
export function multiplierAt({ by, steps }: FlexSchedule, { atMs, utilisation }: FlexMoment): number {
  const value = by === 'hour' ? hourOf(atMs) : utilisation * 100
  const step = steps.findLast(({ from }) => from <= value) ?? steps[0]
  if (step === undefined) throw new RangeError('a schedule of flex prices has a step')
  return step.multiplierBps
}

/** The highest factor it ever comes to. */
export function highestMultiplier({ steps }: FlexSchedule): number {
  return Math.max(...steps.map(({ multiplierBps }) => multiplierBps))
}

/** The lowest factor it ever comes to. */
export function lowestMultiplier({ steps }: FlexSchedule): number {
  return Math.min(...steps.map(({ multiplierBps }) => multiplierBps))
}

/** Whether a video with this maximum may be dispatched at this price; null = it takes any. */
export function isWithinMaximum(multiplierBpsMax: number | null, multiplierBps: number): boolean {
  return multiplierBpsMax === null || multiplierBps <= multiplierBpsMax
}

/**
 * Milliseconds until the price is within a maximum: 0 when it is, null when the clock alone does not say so,
 * or never.
 */
export function msUntilWithinMaximum(
  schedule: FlexSchedule,
  multiplierBpsMax: number | null,
  moment: FlexMoment,
): number | null {
  if (isWithinMaximum(multiplierBpsMax, multiplierAt(schedule, moment))) return 0
  if (schedule.by !== 'hour') return null
  const beganMs = Math.floor(moment.atMs / HOUR_MS) * HOUR_MS
  for (let hours = 1; hours < HOURS_OF_DAY; hours += 1) {
    const atMs = beganMs + hours * HOUR_MS
    if (isWithinMaximum(multiplierBpsMax, multiplierAt(schedule, { ...moment, atMs })))
      return atMs - moment.atMs
  }
  return null
}

/** Milliseconds until the clock may change the price; null when it does not. */
export function msUntilChange({ by, steps }: FlexSchedule, atMs: number): number | null {
  if (by !== 'hour' || steps.length < 2) return null
  const hours = hourOf(atMs)
  const next = steps.find(({ from }) => from > hours)?.from ?? HOURS_OF_DAY
  return (next - hours) * HOUR_MS - (atMs % HOUR_MS)
}

/** Older utilisation counts for less: after this long, for a third. */
const UTILISATION_MS = 900_000

/**
 * The share of slots that flex does not have, smoothed over a quarter of an hour: `slotsTaken` was seen
 * `elapsedMs` after `before` was kept. A price that followed every start and end would be another one for
 * each of two videos that are submitted together; on a single slot it would be the lowest for all, since flex
 * starts when nothing else has the slot.
 */
export function utilisationAfter(before: number, slotsTaken: number, elapsedMs: number): number {
  const after = slotsTaken + (before - slotsTaken) * Math.exp(-Math.max(0, elapsedMs) / UTILISATION_MS)
  return Math.min(1, Math.max(0, after))
}

/**
 * The share of all slots that videos of the tiers above flex have now; null while there is no slot. What flex
 * has does not count: it gets what is left, and its own backlog would raise its price until GPUs stood still.
 */
export function shareAboveFlex({
  pools,
  inFlight,
}: {
  pools: readonly Pick<Pool, 'slots'>[]
  inFlight: readonly Pick<InFlight, 'tier' | 'freeInMs'>[]
}): number | null {
  const slots = pools.reduce((sum, pool) => sum + pool.slots, 0)
  if (slots === 0) return null
  const taken = inFlight.filter((attempt) => attempt.tier !== 'flex' && occupiesSlot(attempt)).length
  return Math.min(1, taken / slots)
}

/** Hours since midnight, UTC. */
function hourOf(atMs: number): number {
  return Math.floor(atMs / HOUR_MS) % HOURS_OF_DAY
}
