/** Why tokens were generated that nobody paid for. */
export const WASTE_CAUSES = [
  'lost_worker',
  'failed',
  'yielded',
  'lost_checkpoint',
  'cancelled',
  'expired',
] as const
export type WasteCause = (typeof WASTE_CAUSES)[number]

/** What is counted per hour and pool, all of it sums: money in micro-units, time in milliseconds. */
export const FACTS = [
  // videos that ended, by how
  ...(['completed', 'failed', 'cancelled'] as const),
  'revenue_micros',
  // promises of those videos, by what became of them, and what was given back for missed ones
  ...(['promises_kept', 'promises_missed', 'rebate_micros'] as const),
  // generated tokens of those videos: charged, and wasted by cause
  'charged_tokens',
  ...WASTE_CAUSES.map((cause) => `wasted_${cause}` as const),
  // GPU time of the attempts at those videos, and how much of it went into switching models
  ...(['work_gpu_ms', 'switching_gpu_ms', 'switches'] as const),
  // GPU time by the clock: in use, there, and there without a declared cost
  ...(['busy_gpu_ms', 'available_gpu_ms', 'unpriced_gpu_ms'] as const),
  // cost per slot and hour times milliseconds there
  'cost_micros_per_hour_ms',
  // how long those videos waited for their first dispatch, and how long dispatched attempts waited for their
  // worker
  ...(['queue_wait_ms', 'queue_waits', 'delivery_ms', 'deliveries'] as const),
  // completed videos of the sample: how much earlier or later than forecast they came
  ...(['eta_compared', 'eta_early_ms', 'eta_late_ms', 'eta_within_p90'] as const),
] as const
export type Fact = (typeof FACTS)[number]

/** Sums of one pool or of all, over an hour or longer. */
export type Facts = Readonly<Record<Fact, bigint>>

export const NO_FACTS: Facts = Object.fromEntries(FACTS.map((fact) => [fact, 0n])) as Record<Fact, bigint>

/** Adds facts up; the sum over any grouping is the same. */
export function sumFacts(parts: Iterable<Partial<Facts>>): Facts {
  const sum: Record<Fact, bigint> = { ...NO_FACTS }
  for (const part of parts) addFacts(sum, part)
  return sum
}

/** Adds more facts to a sum. */
export function addFacts(sum: Record<Fact, bigint>, part: Partial<Facts>): void {
  for (const fact of FACTS) sum[fact] += part[fact] ?? 0n
}
