import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EtaBounds, type EtaOutcome } from './eta-bounds.ts'

const AT_ONCE = { pool: 'a', startMs: 0, storedMs: 10_000, lateMs: 10_000 }
const LONG_WAIT = { pool: 'a', startMs: 50_000, storedMs: 60_000, lateMs: 60_000 }

function outcomes(
  count: number,
  fields: Partial<EtaOutcome>,
  ratioOf: (index: number) => number,
): EtaOutcome[] {
  return Array.from({ length: count }, (_, index) => {
    const outcome: EtaOutcome = { ...AT_ONCE, tier: 'standard', isMeasured: true, tookMs: 0, ...fields }
    return { ...outcome, tookMs: outcome.storedMs * ratioOf(index) }
  })
}

const inTurns = <Item>(some: readonly Item[], others: readonly Item[]) =>
  some.flatMap((item, index) => [item, ...others.slice(index, index + 1)])

test('before anything came, half are taken to come as expected, and nine of ten within 1.2 times that', () => {
  expect(new EtaBounds().of(AT_ONCE, { tier: 'standard', isMeasured: true })).toEqual({ p50: 1, p90: 1.2 })
})

test('what came lately counts more than what came before', () => {
  const factors = (newest: number, oldest: number) =>
    new EtaBounds([...outcomes(80, {}, () => newest), ...outcomes(200, {}, () => oldest)]).of(AT_ONCE, {
      tier: 'standard',
      isMeasured: true,
    })
  expect(factors(1, 3)).toMatchObject({ p50: 1 })
  expect(factors(3, 1)).toMatchObject({ p50: 3 })
})

test('half of the videos come within p50 and nine of ten within p90, whatever the shape of the errors', () => {
  const ratio = fc.double({ min: 0.2, max: 8, noNaN: true })
  fc.assert(
    fc.property(fc.array(ratio, { minLength: 300, maxLength: 300 }), (ratios) => {
      const { p50, p90 } = new EtaBounds(outcomes(300, {}, (index) => ratios[index] ?? 1)).of(AT_ONCE, {
        tier: 'standard',
        isMeasured: true,
      })
      // The newer ones count more, together as 58; what is assumed beside them as 10.
      const weights = ratios.map((_, index) => 0.5 ** (index / 40))
      const sum = (counted: number[]) => counted.reduce((total, weight) => total + weight, 0)
      const within = (factor: number) =>
        sum(weights.filter((_, index) => (ratios[index] ?? 0) <= factor + 1e-9)) / sum(weights)
      expect(within(p50)).toBeGreaterThanOrEqual(0.41)
      expect(within(p90)).toBeGreaterThanOrEqual(0.88)
      expect(p90).toBeGreaterThanOrEqual(p50)
    }),
  )
})

test('bounds are those of videos that are alike: of the pool, the tier and the kind of wait', () => {
  const late = (fields: Partial<EtaOutcome>) => outcomes(100, fields, (index) => 2 + index / 100)
  const right = (fields: Partial<EtaOutcome>) => outcomes(100, fields, (index) => 0.95 + index / 1_000)
  const byWait = new EtaBounds(inTurns(late(LONG_WAIT), right({})))
  expect(byWait.of(AT_ONCE, { tier: 'standard', isMeasured: true }).p50).toBeLessThan(1.05)
  expect(byWait.of(LONG_WAIT, { tier: 'standard', isMeasured: true }).p50).toBeGreaterThan(2)
  const byTier = new EtaBounds(inTurns(late({ tier: 'flex' }), right({})))
  expect(byTier.of(AT_ONCE, { tier: 'flex', isMeasured: true }).p50).toBeGreaterThan(2)
  expect(byTier.of(AT_ONCE, { tier: 'standard', isMeasured: true }).p50).toBeLessThan(1.05)
  const byPool = new EtaBounds([...late({ pool: 'b' }), ...right({})])
  expect(byPool.of({ ...AT_ONCE, pool: 'b' }, { tier: 'standard', isMeasured: true }).p50).toBeGreaterThan(2)
  expect(byPool.of(AT_ONCE, { tier: 'standard', isMeasured: true }).p50).toBeLessThan(1.05)
  const byPace = new EtaBounds(inTurns(late({ isMeasured: false }), right({})))
  expect(byPace.of(AT_ONCE, { tier: 'standard', isMeasured: false }).p50).toBeGreaterThan(2)
  expect(byPace.of(AT_ONCE, { tier: 'standard', isMeasured: true }).p50).toBeLessThan(1.05)
  // Of a pool that nothing is known of, the others say more than nothing.
  expect(
    new EtaBounds(late({ pool: 'b' })).of(AT_ONCE, { tier: 'standard', isMeasured: true }).p90,
  ).toBeGreaterThan(1.5)
})
