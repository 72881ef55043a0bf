import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FACTS, type Facts, NO_FACTS, sumFacts } from './facts.ts'
import { figuresOf } from './figures.ts'

const someFacts = fc.record(
  Object.fromEntries(FACTS.map((fact) => [fact, fc.bigInt({ min: 0n, max: 10n ** 15n })])),
) as fc.Arbitrary<Facts>

test('generated is charged plus wasted by cause, to the token', () => {
  fc.assert(
    fc.property(someFacts, (facts) => {
      const figures = figuresOf(facts)
      const wasted = Object.values(figures.wasted).reduce((sum, tokens) => sum + tokens, 0n)
      expect(figures.generatedTokens).toBe(figures.chargedTokens + wasted)
      expect(figures.wastedTokens).toBe(wasted)
    }),
  )
})

test('revenue and tokens of the sum are the sums of revenue and tokens, however the facts are grouped', () => {
  fc.assert(
    fc.property(fc.array(someFacts), fc.nat(), (all, cut) => {
      const at = all.length === 0 ? 0 : cut % all.length
      const whole = figuresOf(sumFacts(all))
      const parts = [all.slice(0, at), all.slice(at)].map((part) => figuresOf(sumFacts(part)))
      for (const field of [
        'revenueMicros',
        'generatedTokens',
        'chargedTokens',
        'busyGpuMs',
        'availableGpuMs',
      ] as const) {
        expect(parts.reduce((sum, part) => sum + part[field], 0n)).toBe(whole[field])
      }
    }),
  )
})

test('one worker that declared no cost makes cost and all that needs it unknown, never 0', () => {
  const facts = {
    ...NO_FACTS,
    revenue_micros: 10n,
    charged_tokens: 1_000n,
    available_gpu_ms: 7_200_000n,
    busy_gpu_ms: 3_600_000n,
  }
  const priced = figuresOf({ ...facts, cost_micros_per_hour_ms: 5n * 3_600_000n })
  expect(priced).toMatchObject({
    costMicros: 5n,
    margin: 0.5,
    utilisation: 0.5,
    breakEvenUtilisation: 0.25,
    costMicrosPerMillion: 5_000n,
  })
  expect(
    figuresOf({ ...facts, cost_micros_per_hour_ms: 5n * 3_600_000n, unpriced_gpu_ms: 1n }),
  ).toMatchObject({
    costMicros: null,
    margin: null,
    profitOverCost: null,
    breakEvenUtilisation: null,
    costMicrosPerMillion: null,
    revenueMicros: 10n,
    revenueMicrosPerMillion: 10_000n,
    utilisation: 0.5,
  })
})

test('nothing generated and nobody there is 0 tokens and 0 cost, and no ratio', () => {
  expect(figuresOf(NO_FACTS)).toMatchObject({
    generatedTokens: 0n,
    costMicros: 0n,
    revenueMicros: 0n,
    tokensPerGpuSecond: null,
    utilisation: null,
    margin: null,
    costMicrosPerMillion: null,
    revenueMicrosPerMillion: null,
  })
})
