import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CreditCheck, type CreditEntry, type CreditSource } from './check-credits.ts'

/** Sources in the spending order, the last of them without a date. */
const sources = fc
  .array(fc.constantFrom(10, 20, 30), { maxLength: 4 })
  .map((dates) => [...dates.sort((one, other) => one - other), Number.POSITIVE_INFINITY])
  .map((dates) =>
    dates.map(
      (expiresAtMicros, place): CreditSource => ({
        id: BigInt(place),
        grantedMicros: expiresAtMicros === Number.POSITIVE_INFINITY ? null : 3n,
        expiries: 1,
        expiredMicros: 2n,
        expiresAtMicros,
      }),
    ),
  )
/** Of any sources in any order, also of none: what somebody may have done to the ledger. */
const entries = fc.array(
  fc.record({
    sourceId: fc.bigInt({ min: 0n, max: 5n }),
    amountMicros: fc.constantFrom(-2n, -1n, 1n, 2n, 3n),
    kind: fc.constantFrom<CreditEntry['kind']>('hold', 'hold', 'settle', 'top_up', 'expiry'),
    // Transfers wait for the lock of the money: they may be older than those before them.
    atMicros: fc.integer({ min: 0, max: 40 }),
  }),
  { maxLength: 30 },
)

/** As the words say it: each hold is compared with all that was before it. */
function passedOver(of: readonly CreditSource[], all: readonly CreditEntry[]): number {
  return all.filter(({ sourceId, kind, atMicros }, index) => {
    const place = of.findIndex(({ id }) => id === sourceId)
    const isLeft = (id: bigint) =>
      all
        .slice(0, index)
        .filter((entry) => entry.sourceId === id)
        .reduce((sum, { amountMicros }) => sum + amountMicros, 0n) > 0n
    return (
      kind === 'hold' &&
      of
        .slice(0, Math.max(place, 0))
        .some(({ id, expiresAtMicros }) => expiresAtMicros > atMicros && isLeft(id))
    )
  }).length
}

test('whatever stands in a ledger, one pass over it counts what each hold compared with all before it does', () => {
  fc.assert(
    fc.property(sources, entries, (of, all) => {
      const check = new CreditCheck(of)
      for (const entry of all) check.add(entry)
      const dated = of.filter(({ grantedMicros }) => grantedMicros !== null)
      const sumOf = (id: bigint, kind: CreditEntry['kind']) => {
        const its = all.filter((entry) => entry.sourceId === id && entry.kind === kind)
        return { count: its.length, micros: its.reduce((sum, { amountMicros }) => sum + amountMicros, 0n) }
      }
      expect(check.violations()).toEqual({
        credits_that_differ_from_their_grant: BigInt(
          dated.filter(({ id }) => sumOf(id, 'top_up').micros !== 3n).length,
        ),
        credits_that_differ_from_their_expiries: BigInt(
          dated.filter(({ id }) => sumOf(id, 'expiry').count !== 1 || sumOf(id, 'expiry').micros !== -2n)
            .length,
        ),
        holds_that_pass_over_what_is_spent_before: BigInt(passedOver(of, all)),
      })
    }),
    { numRuns: 500 },
  )
})
