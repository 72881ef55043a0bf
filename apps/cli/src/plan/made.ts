import { costMicros } from '@sluice/shared/money'
import type { Plan } from './plan.ts'
import type { EndedGroup, Simulated } from './simulate.ts'

/** What a pool, or a class on it, made. */
export interface Made {
  completed: number
  expired: number
  tokens: bigint
  /** Tokens times the multiplier of their tier, in basis points. */
  weightedTokens: bigint
  revenueMicros: bigint
  /** Device time of its slots, with switches. */
  busyMs: number
}

const NOTHING_MADE: Readonly<Made> = {
  completed: 0,
  expired: 0,
  tokens: 0n,
  weightedTokens: 0n,
  revenueMicros: 0n,
  busyMs: 0,
}

/** The name of a model's class where things are by class. */
export function classKey({ model, resolution }: { model: string; resolution: string }): string {
  return `${model} ${resolution}`
}

/** What the videos of a simulation made and earn at the plan's prices, by some name of theirs. */
export function madeBy(
  plan: Pick<Plan, 'prices' | 'multiplierBps'>,
  ended: Simulated['ended'],
  nameOf: (group: EndedGroup) => string,
): Map<string, Made> {
  const parts = Map.groupBy(ended, nameOf)
  return new Map(
    [...parts].map(([name, groups]) => [name, sumMade(groups.map((group) => madeOf(plan, group)))]),
  )
}

function madeOf({ prices, multiplierBps }: Pick<Plan, 'prices' | 'multiplierBps'>, group: EndedGroup): Made {
  const { video, tier, completed, expired, busyMs } = group
  const { model, resolution } = video
  const price = prices.find((one) => one.model === model && one.resolution === resolution)
  const count = BigInt(completed)
  const multiplier = multiplierBps[tier]
  return {
    completed,
    expired,
    tokens: video.tokens * count,
    weightedTokens: video.tokens * count * multiplier,
    // Each video is rounded by itself, as the ledger does it.
    revenueMicros: costMicros(video.tokens, price?.microsPerMillion ?? 0n, multiplier) * count,
    busyMs,
  }
}

/** Adds up what was made. */
export function sumMade(parts: Iterable<Made>): Made {
  const sum: Made = { ...NOTHING_MADE }
  for (const part of parts) {
    sum.completed += part.completed
    sum.expired += part.expired
    sum.tokens += part.tokens
    sum.weightedTokens += part.weightedTokens
    sum.revenueMicros += part.revenueMicros
    sum.busyMs += part.busyMs
  }
  return sum
}
