import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXAMPLE_PLAN } from './example-plan.ts'
import { readPlan } from './read-plan.ts'
import { readPlanText } from './sections.ts'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-test-plan-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

type Document = Record<string, unknown>

/** The example, with some of it changed. */
const changed = (changes: Document): Document => ({ ...structuredClone(EXAMPLE_PLAN), ...changes })
const read = (document: Document) =>
  readPlan({ document, path: join(dir, 'plan.json'), csv: {} }, new Catalogue())
const faultsOf = (document: Document): string[] => {
  try {
    read(document)
    return []
  } catch (error) {
    return (error as Error).message.split('\n')
  }
}
const file = (name: string, ...lines: string[]): string => {
  writeFileSync(join(dir, name), `${lines.join('\n')}\n`)
  return name
}
const VIDEO = { model: 'open-sora-2', size: '336x192', frames: 129, steps: 50 }
const POOL = { pool: 'h200', gpus: 6, models: 'open-sora-2' }

describe('a plan', () => {
  test('is read alike from JSON and from CSV files with the same fields', () => {
    const csv = changed({
      demand: file(
        'demand.csv',
        'hours,videos',
        '0-6,15',
        '7-8,60',
        '9-11,150',
        '12-13,110',
        '14-17,180',
        '18-20,90',
        '21-23,35',
      ),
      mix: file(
        'mix.csv',
        'share,model,size,frames,steps,tier',
        '10,open-sora-2,336x192,129,50,priority',
        '60,open-sora-2,336x192,129,50,standard',
        '5,open-sora-2,1024x576,65,50,standard',
        '25,open-sora-2,336x192,65,50,flex',
      ),
      pools: file('pools.csv', 'pool,gpus,gpu_price_per_hour,models', 'h200,6,1.99,open-sora-2'),
      paces: file(
        'paces.csv',
        'pool,model,class,tokens_per_second,overhead_ms',
        'h200,open-sora-2,256px,9000,2000',
        'h200,open-sora-2,768px,2900,4000',
      ),
      prices: file(
        'prices.csv',
        'model,class,per_million',
        'open-sora-2,256px,0.20',
        'open-sora-2,768px,0.60',
      ),
      accounts: file(
        'accounts.csv',
        'account,share,weight,running_max',
        'shop,6,,',
        'agency,3,200,',
        'school,1,,2',
      ),
    })
    expect(read(csv)).toEqual(read(changed({})))
    const { demand, mix, pools, paces, prices, accounts, ...settings } = csv
    const named = Object.entries({ demand, mix, pools, paces, prices, accounts }).map(
      ([section, name]) => [section, join(dir, String(name))] as const,
    )
    file('settings.json', JSON.stringify(settings))
    const text = readPlanText({ json: join(dir, 'settings.json'), csv: Object.fromEntries(named) })
    expect(readPlan(text, new Catalogue())).toEqual(read(changed({})))
  })

  test('shares videos that name no account out to all, by their shares', () => {
    const { mix } = read(changed({ mix: [{ ...VIDEO, share: 4 }] }))
    expect(mix.map(({ account, share }) => [account, share])).toEqual([
      ['shop', 2.4],
      ['agency', expect.closeTo(1.2)],
      ['school', 0.4],
    ])
  })

  test('that asks for tokens asks for as many videos as have so many', () => {
    const document = changed({
      accounts: [{ account: 'shop' }],
      mix: [{ ...VIDEO }],
      demand: [{ hours: '0-23', tokens: 33 * 12 * 21 * 50 * 7 }],
    })
    expect(read(document).demand).toMatchObject({ videosPerHour: Array.from({ length: 24 }, () => 7) })
  })

  test('takes what was measured of the very shape before what was said of its class', () => {
    const paces = [
      { pool: 'h200', model: 'open-sora-2', size: '336x192', frames: 129, step_ms: 777 },
      ...EXAMPLE_PLAN.paces,
    ]
    const measured = [...read(changed({ paces })).paces.measured]
    expect(measured.find(([key]) => key.includes('336x192x129'))?.[1].stepMs).toBe(777)
  })

  test('reads a trace in its order, by seconds or by times', () => {
    const header = 'at,model,size,frames,steps,tier,account'
    const rest = 'open-sora-2,336x192,129,50,flex,shop'
    const seconds = file('seconds.csv', header, `0,${rest}`, `90.5,${rest}`)
    const times = file('times.csv', header, `2026-01-31T12:00:00Z,${rest}`, `2026-01-31T12:01:30.5Z,${rest}`)
    for (const trace of [seconds, times]) {
      const { demand, mix } = read(changed({ trace }))
      expect(demand).toMatchObject({ kind: 'trace', atMs: Float64Array.of(0, 90_500) })
      expect(mix).toMatchObject([{ tier: 'flex', account: 'shop', share: 2, tokens: 415_800n }])
    }
  })
})

describe('a plan that cannot be is named by field or line:', () => {
  const cases: [string, Document, string][] = [
    [
      'a pool without a pace',
      { paces: [EXAMPLE_PLAN.paces[0]] },
      'pool h200: has no pace for open-sora-2 768px',
    ],
    [
      'a pace of zero',
      { paces: [{ ...EXAMPLE_PLAN.paces[0], tokens_per_second: 0 }] },
      'paces[0].tokens_per_second: is 0',
    ],
    [
      'a price of zero',
      { prices: [{ model: 'open-sora-2', class: '256px', per_million: 0 }] },
      'prices[0].per_million: is 0',
    ],
    [
      'a GPU that costs less than nothing',
      { pools: [{ ...POOL, gpu_price_per_hour: '-1' }] },
      'pools[0].gpu_price_per_hour: is "-1": allowed is a decimal number from 0',
    ],
    [
      'a class without a price',
      { prices: [EXAMPLE_PLAN.prices[0]] },
      'mix[2]: there is no price of open-sora-2 768px',
    ],
    ['a pool without GPUs', { pools: [{ ...POOL, gpus: 0 }] }, 'pools[0].gpus: is 0'],
    [
      'half a slot',
      { pools: [{ ...POOL, gpus: 3, gpus_per_slot: 2 }] },
      'pools[0].gpus: is 3: allowed are multiples of 2',
    ],
    ['a pool twice', { pools: [POOL, POOL] }, 'pools[1].pool: is "h200": each pool stands there once'],
    [
      'a video that no pool makes',
      { pools: [{ ...POOL, models: 'animatic' }] },
      'mix[0]: no pool makes open-sora-2 336x192',
    ],
    [
      'a size that the model does not make',
      { mix: [{ ...VIDEO, size: '100x100' }] },
      'mix[0].size: is "100x100"',
    ],
    [
      'a length that the model does not make',
      { mix: [{ ...VIDEO, frames: 128 }] },
      'mix[0].frames: is 128: allowed is 4k+1',
    ],
    ['a tier that there is not', { mix: [{ ...VIDEO, tier: 'fast' }] }, 'mix[0].tier: is "fast"'],
    ['an account that there is not', { mix: [{ ...VIDEO, account: 'x' }] }, 'mix[0].account: is "x"'],
    ['a negative demand', { demand: [{ hours: '0-23', videos: -1 }] }, 'demand[0].videos: is -1'],
    ['no demand', { demand: [{ hours: '0-23', videos: 0 }] }, 'demand: asks for no video'],
    ['an hour that is missing', { demand: [{ hours: '0-21', videos: 5 }] }, 'demand: lacks hour 22, 23'],
    [
      'an hour twice',
      {
        demand: [
          { hours: '0-23', videos: 5 },
          { hours: '7', videos: 5 },
        ],
      },
      'demand[1].hours: is "7"',
    ],
    ['an hour that there is not', { demand: [{ hours: '20-24', videos: 5 }] }, 'demand[0].hours: is "20-24"'],
    ['a field that there is not', { gpu: 3 }, '"gpu": there is no such field'],
    [
      'a field that there is not, in a row',
      { pools: [{ ...POOL, gpu: 3 }] },
      'pools[0]."gpu": there is no such field',
    ],
    ['a list that is none', { pools: 7 }, 'pools: is 7: allowed is a list'],
    ['an empty list', { mix: [] }, 'mix: has nothing in it'],
    ['a row that is none', { mix: [3] }, 'mix[0]: is 3: allowed is an object'],
    ['a file that there is not', { pools: 'none.csv' }, 'none.csv: cannot be read'],
    ['a currency that is none', { currency: 'dollars' }, 'currency: is "dollars"'],
    ['a multiplier of zero', { multipliers: { flex: 0 } }, 'multipliers.flex: is 0'],
  ]
  test.each([{ mix: undefined }, { mix: 7 }, { mix: [3] }, { mix: [] }])(
    'a list that cannot be read is one fault, not two: %j',
    (changes) => {
      expect(faultsOf(changed(changes)).filter((line) => line.startsWith('mix'))).toHaveLength(1)
    },
  )

  test.each(cases)('%s', (_, changes, fault) => {
    const faults = faultsOf(changed(changes))
    expect(
      faults.some((line) => line.includes(fault)),
      faults.join('\n'),
    ).toBe(true)
  })

  test('a trace that goes back, has no times, or lines of other lengths', () => {
    const rest = 'open-sora-2,336x192,129,50,flex,shop'
    const trace = file(
      'impossible.csv',
      'at,model,size,frames,steps,tier,account',
      `10,${rest}`,
      `9,${rest}`,
      `noon,${rest}`,
      `12,${rest},more`,
      '',
      `-1,${rest}`,
    )
    expect(faultsOf(changed({ trace }))).toEqual([
      'impossible.csv line 3, at: is "9": it is before the one above it',
      expect.stringMatching(/^impossible.csv line 4, at: is "noon": allowed are seconds/),
      'impossible.csv line 5: has 8 cells, and the first line names 7',
      expect.stringMatching(/^impossible.csv line 7, at: is "-1": allowed are seconds/),
    ])
  })

  test('a trace of more than 366 days, by the line of the wrong year', () => {
    const header = 'at,model,size,frames,steps,account'
    const traceAt = (name: string, ...times: string[]) =>
      faultsOf(
        changed({ trace: file(name, header, ...times.map((at) => `${at},open-sora-2,336x192,129,50,shop`)) }),
      )
    const allowed = 'allowed are 366 days from the beginning,'
    expect(traceAt('year.csv', '2026-01-31', '9926-01-31', '2026-02-01')).toEqual([
      `year.csv line 3, at: is "9926-01-31": ${allowed} 2026-01-31T00:00:00.000Z`,
    ])
    expect(traceAt('first.csv', '2006-01-31T12:30:00Z', '2026-01-31')).toEqual([
      `first.csv line 3, at: is "2026-01-31": ${allowed} 2006-01-31T12:00:00.000Z`,
    ])
    expect(traceAt('seconds.csv', '31622401')).toEqual([
      `seconds.csv line 2, at: is "31622401": ${allowed} 0`,
    ])
    expect(traceAt('leap-year.csv', '0', '31622400')).toEqual([])
    // A time that is none says nothing of where the trace begins.
    expect(traceAt('noon.csv', 'noon', '2026-01-31')).toHaveLength(1)
  })

  test.each([
    ['a pool', { pools: [{ ...POOL, pool: 'h\u001b[2J' }] }, 'pools[0].pool: is "h\\u001b[2J"'],
    ['an account', { accounts: [{ account: 'a\u009b2J' }] }, 'accounts[0].account: is "a\\u009b2J"'],
    ['a model', { mix: [{ ...VIDEO, model: '\u0007' }] }, 'mix[0].model: is "\\u0007"'],
    ['a class', { mix: [{ ...VIDEO, class: '\u007f', video_tokens: 1 }] }, 'mix[0].class: is "\\u007f"'],
    ['a model with a pace', { paces: [{ pool: 'h200', model: 'm\u0000' }] }, 'paces[0].model: is "m\\u0000"'],
    ['a class with a price', { prices: [{ model: 'm', class: 'c d' }] }, 'prices[0].class: is "c d"'],
    ['a field', { 'a\u001b': 1 }, '"a\\u001b": there is no such field'],
    ['a file', { pools: 'a\u001b\n.csv' }, 'a\\u001b'],
  ])('%s with what a terminal would obey, which is shown and not sent', (_, changes: Document, fault) => {
    const faults = faultsOf(changed(changes))
    expect(faults.join('\n')).toContain(fault)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for
    expect(faults.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
  })

  test('a device, a pipe or a folder in place of a file is neither read nor waited for', () => {
    execFileSync('mkfifo', [join(dir, 'pipe')])
    const kinds = { '/dev/zero': 'a device', pipe: 'a pipe', '.': 'a folder' }
    for (const [mix, kind] of Object.entries(kinds))
      expect(faultsOf(changed({ mix }))).toEqual([expect.stringContaining(`: is ${kind}: allowed is a file`)])
    expect(() => readPlanText({ json: '/dev/zero', csv: {} })).toThrow('/dev/zero: is a device')
  })

  test('and all faults are named at once, twenty of them', () => {
    const mix = Array.from({ length: 30 }, () => ({ ...VIDEO, steps: -1 }))
    const faults = faultsOf(changed({ mix, currency: '?' }))
    expect(faults).toHaveLength(21)
    expect(faults.at(-1)).toBe('and 11 more')
  })

  test('what is no JSON is named', () => {
    file('broken.json', '{"mix": [}')
    expect(() => readPlanText({ json: join(dir, 'broken.json'), csv: {} })).toThrow(/broken.json: is no JSON/)
  })
})
