import { Catalogue } from '@sluice/shared/models/catalogue'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arrivalsOf, quietEnd } from './arrivals.ts'
import { withSlots } from './capacity.ts'
import { chartSvg, ticksTo } from './chart.ts'
import { EXAMPLE_PLAN } from './example-plan.ts'
import { loadOf } from './load.ts'
import type { Plan, PlannedPool } from './plan.ts'
import { readPlan } from './read-plan.ts'
import { priceFor, reportOf } from './report.ts'
import { reportJson } from './report-json.ts'
import { reportText } from './report-text.ts'
import { kindsOf } from './simulate.ts'
import { parseWhatIf, variantsOf } from './what-if.ts'

const HOUR_MS = 3_600_000
const read = (document: Record<string, unknown>): Plan =>
  readPlan({ document, path: 'plan.json', csv: {} }, new Catalogue())
const example = (changes: Record<string, unknown> = {}) =>
  read({ ...structuredClone(EXAMPLE_PLAN), ...changes })
const ASKED = { seed: 1, days: 1 }
const PLAIN = { variants: [], marginWanted: null }

/**
 * Videos of 1,000 s and a million tokens each, at 4 a million on GPUs of 9 an hour: so a video brings 4 and
 * costs 2.5.
 */
const simple = (at: readonly number[], changes: Record<string, unknown> = {}) =>
  read({
    trace: at.map((seconds) => ({ at: seconds, ...VIDEO })),
    pools: [{ pool: 'a', gpus: 2, gpu_price_per_hour: 9, models: 'm' }],
    paces: [{ pool: 'a', model: 'm', size: '64x64', frames: 1, step_ms: 90_000, overhead_ms: 100_000 }],
    prices: [{ model: 'm', class: 'c', per_million: 4 }],
    wait_seconds: { standard: 1_000 },
    ...changes,
  })
const VIDEO = { model: 'm', size: '64x64', frames: 1, steps: 10, class: 'c', video_tokens: 100_000 }

describe('what comes of a plan', () => {
  test('is what is worked out by hand: waits, utilisation, money, and GPUs for both ways to serve', () => {
    // Four at once: two wait 1,000 s for the two GPUs. Nobody else comes in that hour.
    const { asPlanned, atOnce, fromQueue, load } = reportOf(simple([0, 0, 0, 0]), ASKED)
    expect(load).toMatchObject({ videos: 4, tokens: 4_000_000n, peakSlots: 4 })
    expect(load.meanSlots).toBeCloseTo(4_000 / 3_600)
    expect(asPlanned.simulated.tiers.standard).toMatchObject({
      videos: 4,
      expired: 0,
      wait: { p50Ms: 0, p90Ms: 1_000_000, longestMs: 1_000_000 },
      turnaround: { p50Ms: 1_000_000, longestMs: 2_000_000 },
    })
    // Of a day: 24 times the hour. Two GPUs cost 432 a day and earn 24 * 16.
    expect(asPlanned.figures).toMatchObject({
      revenueMicros: 384_000_000n,
      costMicros: 432_000_000n,
      margin: -0.125,
      profitOverCost: -0.111111,
      utilisation: 0.555556,
      costMicrosPerMillion: 4_500_000n,
      breakEvenUtilisation: 0.625,
    })
    expect(asPlanned.tokensPerSecond).toBeCloseTo(96_000_000 / 86_400)
    expect(asPlanned.tokensPerUnit).toBe(222_222n)
    expect([asPlanned.gpus, fromQueue?.gpus, atOnce?.gpus]).toEqual([2, 2, 4])
    expect(atOnce?.figures.margin).toBe(-1.25)
  })

  test('of too few GPUs is what they make in the time that it takes them', () => {
    const { asPlanned } = reportOf(simple([0, 0, 0, 0, 0, 0, 0, 0], { pools: [{ ...POOL, gpus: 1 }] }), {
      ...ASKED,
      isSearched: false,
    })
    // 8,000 s of work come in an hour.
    expect(asPlanned).toMatchObject({ isOverloaded: true, figures: { utilisation: 1 } })
    expect(asPlanned.figures.revenueMicros).toBe((4_000_000n * 86_400n) / 1_000n)
  })

  test('has no cost, and nothing that needs one, where a pool has no price', () => {
    const report = reportOf(simple([0], { pools: [{ ...POOL, gpu_price_per_hour: null }] }), ASKED)
    expect(report.asPlanned.figures).toMatchObject({
      costMicros: null,
      margin: null,
      revenueMicros: 96_000_000n,
    })
    expect(reportText(report, PLAIN)).toContain('the cost is not known: pool a has no price per hour')
  })

  test('costs nothing on GPUs that cost nothing, as a worker may declare', () => {
    for (const price of ['gpu_price_per_hour', 'slot_price_per_hour']) {
      const plan = simple([0], { pools: [{ pool: 'a', gpus: 2, [price]: '0', models: 'm' }] })
      const report = reportOf(plan, ASKED)
      expect(report.asPlanned.figures).toMatchObject({
        costMicros: 0n,
        margin: 1,
        profitOverCost: null,
        costMicrosPerMillion: 0n,
        breakEvenUtilisation: 0,
      })
      expect(report.asPlanned.prices).toMatchObject([{ breakEvenMicros: 0n }])
      const more = { variants: [], marginWanted: 0.3 }
      expect(reportText(report, more)).toMatch(/^margin +100\.0 %/m)
      for (const said of [
        reportText(report, more),
        JSON.stringify(reportJson(report, more)),
        chartSvg(report),
      ])
        expect(said).not.toMatch(/NaN|undefined|Infinity|not known/)
    }
  })

  test('that nobody asks for anything of has no peak, and nothing that is no number', () => {
    const demand = [{ hours: '0-23', videos: 0.000001 }]
    const report = reportOf(example({ demand }), ASKED)
    expect(report.load).toMatchObject({ videos: 0, peakSlots: 0, usualSlots: 0 })
    expect(reportText(report, PLAIN)).toContain('0 slots busy on average and 0 at the peak')
    for (const said of [
      reportText(report, PLAIN),
      JSON.stringify(reportJson(report, PLAIN)),
      chartSvg(report),
    ])
      expect(said).not.toMatch(/NaN|undefined|Infinity/)
  })

  test('says that no number of GPUs is enough where the limit of an account makes its videos wait', () => {
    const accounts = [{ account: 'one', running_max: 1 }]
    const report = reportOf(simple([0, 0, 0, 0, 0, 0], { accounts }), ASKED)
    expect([report.fromQueue, report.atOnce]).toEqual([null, null])
    expect(reportText(report, PLAIN)).toContain('none: no number of GPUs is enough')
  })

  test('is the same each time, and another one by another seed', () => {
    const text = (seed: number) => JSON.stringify(reportJson(reportOf(example(), { seed, days: 1 }), PLAIN))
    expect(text(3)).toBe(text(3))
    expect(text(4)).not.toBe(text(3))
  })
})

const POOL = { pool: 'a', gpus: 2, gpu_price_per_hour: 9, models: 'm' }

describe('prices', () => {
  test('at the break-even of each class earn what the GPUs cost, and those for a margin leave it', () => {
    const plan = example()
    const report = reportOf(plan, ASKED)
    const at = (marginWanted: number) => {
      const prices = plan.prices.map((price, index) => ({
        ...price,
        microsPerMillion: priceFor(report.fromQueue, index, marginWanted) ?? 0n,
      }))
      const pools = report.fromQueue?.simulated.pools ?? []
      return reportOf({ ...plan, prices, pools }, { ...ASKED, isSearched: false }).asPlanned.figures.margin
    }
    expect(at(0)).toBeCloseTo(0, 3)
    expect(at(0.3)).toBeCloseTo(0.3, 3)
  })

  test('of a class that takes three times as long for a token are three times as high', () => {
    const [small, large] = reportOf(example(), ASKED).asPlanned.prices
    const ratio = Number(large?.breakEvenMicros) / Number(small?.breakEvenMicros)
    // 9,000 tokens a second against 2,900; the tiers of the cheaper class pay for some of it.
    expect(ratio).toBeGreaterThan(2.5)
    expect(ratio).toBeLessThan(3.5)
  })
})

describe('prices for a margin', () => {
  const marginOf = (plan: Plan, isSearched: boolean) => {
    const report = reportOf(plan, { ...ASKED, isSearched })
    const more = { variants: [], marginWanted: 0.5 }
    const json = reportJson(report, more) as { prices_for_margin: object }
    return { text: reportText(report, more), json: json.prices_for_margin }
  }

  test('are those of the scenario that text and JSON name', () => {
    const searched = marginOf(simple([0, 0]), true)
    expect(searched.text).toContain('from a queue, margin 50.0 %')
    expect(searched.json).toMatchObject({ scenario: 'from_queue', prices: [{ per_million: '9' }] })
    const planned = marginOf(simple([0, 0], { pools: [{ ...POOL, gpus: 4 }] }), false)
    expect(planned.text).toContain('as planned, margin 50.0 %')
    expect(planned.json).toMatchObject({ scenario: 'as_planned', prices: [{ per_million: '36' }] })
  })

  test('are not known where no number of GPUs keeps the bound, in JSON as in the text', () => {
    const accounts = [{ account: 'one', running_max: 1 }]
    const { text, json } = marginOf(simple([0, 0, 0, 0, 0, 0], { accounts }), true)
    expect(text).toMatch(/^m c .* none {2,}none {2,}\?$/m)
    expect(json).toMatchObject({ scenario: 'from_queue', prices: [{ per_million: null }] })
  })
})

describe('capacity', () => {
  const pools = fc
    .array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 4 })
    .map((slots) => slots.map((count, index) => ({ pool: String(index), slots: count }) as PlannedPool))

  test('is shared out in the proportions of the pools, and no pool has fewer when there is one more', () => {
    fc.assert(
      fc.property(pools, fc.integer({ min: 1, max: 300 }), (planned, more) => {
        const slots = planned.length + more
        const [given, next] = [withSlots(planned, slots), withSlots(planned, slots + 1)]
        const sum = (all: readonly PlannedPool[]) => all.reduce((total, one) => total + one.slots, 0)
        expect(sum(given)).toBe(slots)
        expect(sum(next)).toBe(slots + 1)
        for (const [index, pool] of given.entries())
          expect(next[index]?.slots).toBeGreaterThanOrEqual(pool.slots)
        expect(withSlots(planned, sum(planned)).map((pool) => pool.slots)).toEqual(
          planned.map((pool) => pool.slots),
        )
      }),
    )
  })

  test('is the fewest GPUs that keep the bound: one fewer breaks it', () => {
    const plan = example()
    const { fromQueue } = reportOf(plan, ASKED)
    const slots = (fromQueue?.gpus ?? 0) - 1
    const fewer = reportOf({ ...plan, pools: withSlots(plan.pools, slots) }, { ...ASKED, isSearched: false })
    const { standard, priority, flex } = fewer.asPlanned.simulated.tiers
    const isLate = [
      (priority.wait.p90Ms ?? 0) > 60_000,
      (standard.wait.p90Ms ?? 0) > 600_000,
      (flex.wait.p90Ms ?? 0) > 14_400_000,
    ]
    expect(isLate).toContain(true)
  })
})

describe('submissions', () => {
  test('come as many an hour as are asked for, of each kind by its share, in the order of their times', () => {
    const plan = example()
    const arrivals = arrivalsOf(plan, kindsOf(plan), { seed: 5, days: 20 })
    const hours = Array.from({ length: 24 }, () => 0)
    const tiers = { priority: 0, standard: 0, flex: 0 }
    let lastMs = 0
    for (const { atMs, tier } of arrivals.videos()) {
      expect(atMs).toBeGreaterThanOrEqual(lastMs)
      lastMs = atMs
      const hour = (Math.floor(atMs / HOUR_MS) + arrivals.firstHour) % 24
      hours[hour] = (hours[hour] ?? 0) + 1 / 20
      tiers[tier] += 1
    }
    const { demand } = plan
    if (demand.kind !== 'hours') throw new Error('no demand by hours')
    // Five standard deviations of a Poisson number.
    for (const [hour, videos] of demand.videosPerHour.entries())
      expect(Math.abs((hours[hour] ?? 0) - videos)).toBeLessThan(5 * Math.sqrt(videos / 20))
    const all = tiers.priority + tiers.standard + tiers.flex
    expect(tiers.priority / all).toBeCloseTo(0.1, 1)
    expect(tiers.standard / all).toBeCloseTo(0.65, 1)
  })

  test('begin at the hour at which pools that make a day in a day have nothing left over', () => {
    const hours = Array.from({ length: 24 }, (_, hour) => (hour >= 9 && hour < 17 ? 90 : 10))
    expect(quietEnd(hours)).toBe(9)
    const night = Array.from({ length: 24 }, (_, hour) => (hour < 4 || hour >= 22 ? 90 : 10))
    expect(quietEnd(night)).toBe(22)
  })

  test('have a peak as high as slots would be busy at the same time', () => {
    const plan = simple([0, 500, 999, 1_000, 1_500])
    expect(loadOf(arrivalsOf(plan, kindsOf(plan), ASKED), plan.pools)).toMatchObject({
      videos: 5,
      peakSlots: 3,
      meanSlots: expect.closeTo(5_000 / 3_600),
    })
  })
})

describe('--what-if', () => {
  test('tries each value of each thing with each of the others, and simulates what differs in prices once', () => {
    const plan = simple([0, 0, 0, 0])
    const said: string[] = []
    const changes = parseWhatIf(plan, ['a.gpus=2-3', 'a.gpu_price_per_hour=9,4.50', 'm.c.per_million=4,8'])
    const variants = variantsOf(plan, changes, { ...ASKED, notice: (line) => said.push(line) })
    expect(said).toEqual(['simulating 2 GPUs', 'simulating 3 GPUs'])
    expect(
      variants.map(({ changes: made, scenario }) => [
        made.map(({ value }) => value).join(' '),
        scenario.figures.costMicros,
        scenario.figures.revenueMicros,
      ]),
    ).toEqual([
      ['2 9 4', 432_000_000n, 384_000_000n],
      ['2 9 8', 432_000_000n, 768_000_000n],
      ['2 4.50 4', 216_000_000n, 384_000_000n],
      ['2 4.50 8', 216_000_000n, 768_000_000n],
      ['3 9 4', 648_000_000n, 384_000_000n],
      ['3 9 8', 648_000_000n, 768_000_000n],
      ['3 4.50 4', 324_000_000n, 384_000_000n],
      ['3 4.50 8', 324_000_000n, 768_000_000n],
    ])
  })

  test('has demand and prices several times as high', () => {
    const plan = example()
    const changes = parseWhatIf(plan, ['demand=1x,2x', 'prices=0.5x'])
    const [once, twice] = variantsOf(plan, changes, ASKED).map(({ scenario }) => scenario.figures)
    const now = reportOf(plan, { ...ASKED, isSearched: false }).asPlanned.figures
    expect(Number(once?.revenueMicros) / Number(now.revenueMicros)).toBeCloseTo(0.5, 3)
    expect(Number(twice?.chargedTokens) / Number(now.chargedTokens)).toBeCloseTo(2, 0)
  })

  test.each([
    ['a.gpus', 'a.gpus: "" is not allowed'],
    ['a.gpus=0', '"0" is not allowed'],
    ['a.gpu_price_per_hour=-1', '"-1" is not allowed'],
    ['m.c.per_million=0', '"0" is not allowed'],
    ['demand=0.000001x', 'demand=0.000001x: the trace would have more than 366 days'],
    ['m.c.per_million=x', '"x" is not allowed'],
    ['prices=2', '"2" is not allowed'],
    ['b.gpus=1', 'allowed are a.gpus, a.gpu_price_per_hour, m.c.per_million, prices, demand'],
  ])('%s is named with what is allowed', (word, fault) => {
    expect(() => parseWhatIf(simple([0, 60]), [word])).toThrow(fault)
  })

  test('has no more videos an hour than a plan may have', () => {
    const fault = 'demand=999999x: that is more than 10000000 videos an hour'
    expect(() => parseWhatIf(example(), ['demand=999999x'])).toThrow(fault)
  })

  test('has GPUs that cost nothing', () => {
    const plan = simple([0])
    const [variant] = variantsOf(plan, parseWhatIf(plan, ['a.gpu_price_per_hour=0']), ASKED)
    expect(variant?.scenario.figures).toMatchObject({ costMicros: 0n, margin: 1 })
  })

  test('that is more than anybody compares is refused', () => {
    expect(() => parseWhatIf(simple([0]), ['a.gpus=1-50', 'prices=1x,2x,3x'])).toThrow('150 variants')
  })
})

describe('the picture', () => {
  test('is XML in which every tag is closed, with the numbers of the report', () => {
    for (const plan of [example(), simple([0, 0, 9_000])]) {
      const report = reportOf(plan, ASKED)
      const svg = chartSvg(report)
      const open: string[] = []
      for (const [, end, name = '', own] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
        if (end === '/') expect(open.pop()).toBe(name)
        else if (own !== '/') open.push(name)
      }
      expect(open).toEqual([])
      expect(svg).not.toMatch(/NaN|undefined|Infinity/)
      expect(svg).toContain(`>${report.fromQueue?.gpus} from a queue<`)
      expect(svg).toContain(`>${report.atOnce?.gpus} at once<`)
    }
  })

  test('has lines at round numbers, of whole GPUs', () => {
    expect(ticksTo(10)).toEqual([0, 5, 10])
    expect(ticksTo(2)).toEqual([0, 1, 2])
    expect(ticksTo(1_984)).toEqual([0, 500, 1_000, 1_500])
  })
})
