import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DatedCredit, Purse } from '../ledger/purse.ts'
import { crossingsOf } from './balance-alerts.ts'

const account = (balanceMicros: bigint) => ({ id: 1n, balanceMicros })
const purse = (customer: bigint, lapsed: bigint): Purse => ({
  customer: account(customer),
  trial: account(0n),
  hold: account(0n),
  dated: [],
  lapsed: lapsed === 0n ? [] : [{ ...account(lapsed) } as DatedCredit],
})
const micros = fc.bigInt({ min: 0n, max: 20n })

test('over any course of a balance, low is said as often as it falls below the threshold, whoever sees credit lapse meanwhile', () => {
  fc.assert(
    fc.property(
      fc.array(micros, { minLength: 2, maxLength: 12 }),
      fc.bigInt({ min: 1n, max: 20n }),
      micros,
      (course, lowMicros, lapsed) => {
        let said = 0
        let falls = 0
        for (const [at, now] of course.entries()) {
          const last = course[at - 1]
          if (last === undefined) continue
          // What has lapsed is not posted yet: it counts on both sides.
          const change = { before: purse(last, lapsed), after: purse(now, lapsed), wasRefused: false }
          said += crossingsOf(change, { lowMicros, isExhausted: false }).filter(
            (type) => type === 'balance.low',
          ).length
          if (last + lapsed >= lowMicros && now + lapsed < lowMicros) falls += 1
        }
        expect(said).toBe(falls)
      },
    ),
  )
})

test('exhausted is said of a balance that ran out or was too small for a video, unless it was said already', () => {
  const alerts = { lowMicros: null, isExhausted: false }
  const [nothing, some] = [purse(0n, 0n), purse(5n, 0n)]
  expect(crossingsOf({ before: some, after: nothing, wasRefused: false }, alerts)).toEqual([
    'balance.exhausted',
  ])
  expect(crossingsOf({ before: some, after: some, wasRefused: true }, alerts)).toEqual(['balance.exhausted'])
  expect(crossingsOf({ before: nothing, after: nothing, wasRefused: false }, alerts)).toEqual([])
  expect(crossingsOf({ before: some, after: some, wasRefused: false }, alerts)).toEqual([])
  const said = { ...alerts, isExhausted: true }
  expect(crossingsOf({ before: some, after: nothing, wasRefused: true }, said)).toEqual([])
})
