import type { Database } from '../db/database.ts'
import { CREDIT_ENTRIES_SQL, CREDIT_SOURCES_SQL } from './check-sql.ts'
import type { TransferKind } from './post.ts'

/** A ledger account that money is spent from. What is of credit with an expiry date is null without one. */
export interface CreditSource {
  id: bigint
  grantedMicros: bigint | null
  expiries: number | null
  expiredMicros: bigint | null
  /** Since 1970; infinite without a date. */
  expiresAtMicros: number
}

export interface CreditEntry {
  sourceId: bigint
  amountMicros: bigint
  kind: TransferKind
  /** When its transfer was made, since 1970. */
  atMicros: number
}

/** What entries up to now say of a source. */
interface Seen {
  source: CreditSource
  /** In the spending order. */
  place: number
  balanceMicros: bigint
  grantedMicros: bigint
  expiries: number
  expiredMicros: bigint
}

/**
 * Compares what an account can spend with its entries, one after another: each credit is what one transfer
 * granted, expired as often and of as much as it says, and no hold took anything while something was left
 * that is spent before. Time for each entry grows with the logarithm of the sources of which something is
 * left. Pure.
 */
export class CreditCheck {
  readonly #seen: Map<bigint, Seen>
  /** Of which something is left, in the spending order. */
  readonly #left: Seen[] = []
  #passedOver = 0n

  /** `sources` are in the spending order. */
  constructor(sources: readonly CreditSource[]) {
    this.#seen = new Map(
      sources.map((source, place) => [
        source.id,
        { source, place, balanceMicros: 0n, grantedMicros: 0n, expiries: 0, expiredMicros: 0n },
      ]),
    )
  }

  /** The entry that counts next; one of no source is none of ours. */
  add({ sourceId, amountMicros, kind, atMicros }: CreditEntry): void {
    const seen = this.#seen.get(sourceId)
    if (seen === undefined) return
    const hadSome = seen.balanceMicros > 0n
    seen.balanceMicros += amountMicros
    if (kind === 'top_up' || kind === 'trial_grant') seen.grantedMicros += amountMicros
    if (kind === 'expiry') {
      seen.expiries += 1
      seen.expiredMicros -= amountMicros
    }
    const hasSome = seen.balanceMicros > 0n
    if (kind !== 'hold' && hadSome === hasSome) return
    const at = this.#leftBefore(seen.place)
    // The last of those that are spent before expires last, so it alone tells whether any can be spent.
    const before = this.#left[at - 1]
    if (kind === 'hold' && before !== undefined && before.source.expiresAtMicros > atMicros) {
      this.#passedOver += 1n
    }
    if (hadSome !== hasSome) this.#left.splice(at, hadSome ? 1 : 0, ...(hasSome ? [seen] : []))
  }

  violations(): Record<string, bigint> {
    const credits = [...this.#seen.values()].filter(({ source }) => source.grantedMicros !== null)
    const count = (isBroken: (seen: Seen) => boolean) => BigInt(credits.filter(isBroken).length)
    return {
      credits_that_differ_from_their_grant: count(
        ({ source, grantedMicros }) => source.grantedMicros !== grantedMicros,
      ),
      credits_that_differ_from_their_expiries: count(
        ({ source, expiries, expiredMicros }) =>
          source.expiries !== expiries || source.expiredMicros !== expiredMicros,
      ),
      holds_that_pass_over_what_is_spent_before: this.#passedOver,
    }
  }

  /** Of how many that are spent before `place` something is left. */
  #leftBefore(place: number): number {
    let from = 0
    let to = this.#left.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if ((this.#left[middle]?.place ?? place) < place) from = middle + 1
      else to = middle
    }
    return from
  }
}

/**
 * Returns what is broken about the credit of an account. Reads its entries by `page`, in the one snapshot of
 * the transaction that `db` is in: repeatable read.
 */
export async function checkCreditsOf(
  db: Database,
  accountId: string,
  page: number,
): Promise<Record<string, bigint>> {
  const { rows: sources } = await db.query<CreditSource>({ text: CREDIT_SOURCES_SQL, values: [accountId] })
  const check = new CreditCheck(sources)
  await db.query({ text: CREDIT_ENTRIES_SQL, values: [accountId] })
  for (;;) {
    const { rows } = await db.query<CreditEntry>({ text: `fetch ${page} from credit_entries` })
    for (const entry of rows) check.add(entry)
    if (rows.length < page) return check.violations()
  }
}
