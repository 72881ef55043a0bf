/** What a payment provider says, in this service's words. */
export type PaymentEvent = PaymentSaid | ReversalSaid

/** A checkout: what was paid, for whom, and whether the money is there. */
export interface PaymentSaid {
  kind: 'payment'
  provider: Provider
  session: string
  /** What its refunds and disputes name it by. */
  intent: string | null
  /** `unpaid`: a slow way of paying, whose outcome is said later. */
  state: 'paid' | 'unpaid' | 'failed'
  /** Paid again and again, by a plan: no single payment. */
  isSubscription: boolean
  /** Whom it is for; null when it does not say. */
  reference: string | null
  /** Three capital letters. */
  currency: string
  paidMicros: bigint
  /** Of that, what is no tax and no shipping. */
  netMicros: bigint
  /** False for the provider's test mode. */
  isLive: boolean
}

/** A refund or a dispute of a payment. */
export interface ReversalSaid {
  kind: 'reversal'
  provider: Provider
  reversal: string
  cause: 'refund' | 'dispute'
  intent: string
  currency: string
  amountMicros: bigint
  /** False: it failed, or the dispute was won. */
  stands: boolean
  /** When the provider said so. */
  saidAt: Date
}

export type Provider = 'stripe'
