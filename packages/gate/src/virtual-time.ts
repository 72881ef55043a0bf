import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'

/** An account's last finish in one tier; it only ever rises. */
export interface Finish {
  ms: number
}

/** What a dispatch does to virtual time. */
interface Advance {
  tier: ServiceTier
  clockMs: number
  finishTagMs: number
  head: { accountId: string }
}

/** The clock of one tier, and its accounts' finish tags. */
export class TierTime {
  clockMs = 0
  readonly #finishes = new Map<string, Finish>()

  /** Of an account, by its id: the same object each time. */
  finishOf(accountId: string): Finish {
    const known = this.#finishes.get(accountId)
    if (known !== undefined) return known
    const finish = { ms: 0 }
    this.#finishes.set(accountId, finish)
    return finish
  }

  copy(): TierTime {
    const copy = new TierTime()
    copy.clockMs = this.clockMs
    for (const [accountId, { ms }] of this.#finishes) copy.#finishes.set(accountId, { ms })
    return copy
  }
}

/**
 * Virtual time by tier: the tier's clock and each account's finish tag, in weighted GPU milliseconds. Both
 * only ever rise.
 */
export class VirtualTime {
  readonly #tiers: Record<ServiceTier, TierTime> = {
    priority: new TierTime(),
    standard: new TierTime(),
    flex: new TierTime(),
  }

  of(tier: ServiceTier): TierTime {
    return this.#tiers[tier]
  }

  clockMs(tier: ServiceTier): number {
    return this.#tiers[tier].clockMs
  }

  finishMs(tier: ServiceTier, accountId: string): number {
    return this.#tiers[tier].finishOf(accountId).ms
  }

  raiseClock(tier: ServiceTier, ms: number): void {
    const time = this.#tiers[tier]
    time.clockMs = Math.max(time.clockMs, ms)
  }

  raiseFinish(tier: ServiceTier, accountId: string, ms: number): void {
    const finish = this.#tiers[tier].finishOf(accountId)
    finish.ms = Math.max(finish.ms, ms)
  }

  /** What a dispatch does to it. */
  advance(choice: Advance): void {
    this.raiseClock(choice.tier, choice.clockMs)
    this.raiseFinish(choice.tier, choice.head.accountId, choice.finishTagMs)
  }

  copy(): VirtualTime {
    const copy = new VirtualTime()
    for (const tier of SERVICE_TIERS) copy.#tiers[tier] = this.#tiers[tier].copy()
    return copy
  }
}
