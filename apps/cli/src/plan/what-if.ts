import { parseMicros } from '@sluice/shared/money'
import { PlanError } from './faults.ts'
import type { Plan } from './plan.ts'
import { DAY_MS, TRACE_DAYS_MAX, VIDEOS_PER_HOUR_MAX } from './read-demand.ts'
import { type Asked, type Scenario, scenarioReader } from './report.ts'

/** More rows than anybody compares. */
const VARIANTS_MAX = 100
const SLOTS_MAX = 100_000

/** One thing that is different, and how. */
export interface Change {
  name: string
  value: string
  apply: (plan: Plan) => Plan
}

/** The plan with some things different, and what comes of it. */
export interface Variant {
  changes: readonly Change[]
  scenario: Scenario
}

/** Each value of each thing that may be different, as the words of `--what-if` say. Throws PlanError. */
export function parseWhatIf(plan: Plan, words: readonly string[]): Change[][] {
  const choices = words.map((word) => {
    const [name = '', values = ''] = word.split(/=(.*)/s)
    const change = changeNamed(plan, name)
    if (change === null)
      throw new PlanError(
        `--what-if ${word}: allowed are ${namesOf(plan).join(', ')}, each with =VALUE,VALUE`,
      )
    return valuesIn(values).map((value) => {
      const apply = change(value)
      if (apply === null) throw new PlanError(`--what-if ${word}: ${JSON.stringify(value)} is not allowed`)
      return { name, value, apply }
    })
  })
  const all = choices.reduce<Change[][]>(
    (rows, values) => rows.flatMap((row) => values.map((value) => [...row, value])),
    [[]],
  )
  if (all.length > VARIANTS_MAX)
    throw new PlanError(`--what-if: that is ${all.length} variants, allowed are ${VARIANTS_MAX}`)
  return words.length === 0 ? [] : all
}

/** What comes of each variant. */
export function variantsOf(plan: Plan, all: readonly Change[][], asked: Asked): Variant[] {
  const scenarioIn = scenarioReader(asked)
  return all.map((changes) => ({
    changes,
    scenario: scenarioIn(changes.reduce((changed, { apply }) => apply(changed), plan)),
  }))
}

/** `1,2,4` or `4-8`. */
function valuesIn(text: string): string[] {
  return text.split(',').flatMap((part) => {
    const [, from, to] = /^(\d{1,6})-(\d{1,6})$/.exec(part) ?? []
    const [first, last] = [Number(from), Number(to)]
    if (from === undefined || first > last || last - first >= VARIANTS_MAX) return [part.trim()]
    return Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
  })
}

function namesOf(plan: Plan): string[] {
  return [
    ...plan.pools.flatMap(({ pool }) => [`${pool}.gpus`, `${pool}.gpu_price_per_hour`]),
    ...plan.prices.map(({ model, resolution }) => `${model}.${resolution}.per_million`),
    'prices',
    'demand',
  ]
}

/** What a value of the thing with that name does to a plan; null from the inner function = not allowed. */
function changeNamed(plan: Plan, name: string): ((value: string) => Change['apply'] | null) | null {
  const pool = plan.pools.find(
    (one) => name === `${one.pool}.gpus` || name === `${one.pool}.gpu_price_per_hour`,
  )
  if (pool !== undefined && name.endsWith('.gpus'))
    return (value) => (isWhole(value) ? withGpus(pool.pool, Number(value)) : null)
  if (pool !== undefined) return (value) => withGpuPrice(pool.pool, parseMicros(value))
  const price = plan.prices.find(({ model, resolution }) => name === `${model}.${resolution}.per_million`)
  if (price !== undefined) {
    return (value) => {
      const microsPerMillion = parseMicros(value)
      if (microsPerMillion === null || microsPerMillion === 0n) return null
      return (changed) => ({
        ...changed,
        prices: changed.prices.map((one) =>
          one.model === price.model && one.resolution === price.resolution
            ? { ...one, microsPerMillion }
            : one,
        ),
      })
    }
  }
  if (name === 'prices') return (value) => timesIn(value, withPricesTimes)
  if (name === 'demand') return (value) => timesIn(value, (times) => withDemandTimes(plan, value, times))
  return null
}

function isWhole(value: string): boolean {
  return /^[1-9]\d{0,5}$/.test(value) && Number(value) <= SLOTS_MAX
}

/** `1.5x`: one and a half times. */
function timesIn(value: string, change: (times: number) => Change['apply']): Change['apply'] | null {
  const [, times] = /^(\d{1,6}(?:\.\d{1,6})?)x$/.exec(value) ?? []
  return times === undefined || Number(times) === 0 ? null : change(Number(times))
}

function withGpus(name: string, gpus: number): Change['apply'] | null {
  return (plan) => ({
    ...plan,
    pools: plan.pools.map((pool) => {
      if (pool.pool !== name) return pool
      if (gpus % pool.gpusPerSlot !== 0)
        throw new PlanError(`--what-if ${name}.gpus=${gpus}: allowed are multiples of ${pool.gpusPerSlot}`)
      return { ...pool, slots: gpus / pool.gpusPerSlot }
    }),
  })
}

function withGpuPrice(name: string, micros: bigint | null): Change['apply'] | null {
  if (micros === null) return null
  return (plan) => ({
    ...plan,
    pools: plan.pools.map((pool) =>
      pool.pool === name ? { ...pool, slotPriceMicrosPerHour: micros * BigInt(pool.gpusPerSlot) } : pool,
    ),
  })
}

function withPricesTimes(times: number): Change['apply'] {
  return (plan) => ({
    ...plan,
    prices: plan.prices.map((price) => ({
      ...price,
      microsPerMillion: BigInt(Math.max(1, Math.round(Number(price.microsPerMillion) * times))),
    })),
  })
}

/** More or fewer videos in every hour; of a trace, as many in more or less time. */
function withDemandTimes({ demand }: Plan, value: string, times: number): Change['apply'] {
  if (demand.kind === 'trace' && (demand.atMs.at(-1) ?? 0) / times > TRACE_DAYS_MAX * DAY_MS)
    throw new PlanError(`--what-if demand=${value}: the trace would have more than ${TRACE_DAYS_MAX} days`)
  if (demand.kind === 'hours' && Math.max(...demand.videosPerHour) * times > VIDEOS_PER_HOUR_MAX)
    throw new PlanError(`--what-if demand=${value}: that is more than ${VIDEOS_PER_HOUR_MAX} videos an hour`)
  const changed: Plan['demand'] =
    demand.kind === 'trace'
      ? { ...demand, atMs: demand.atMs.map((ms) => ms / times) }
      : { ...demand, videosPerHour: demand.videosPerHour.map((videos) => videos * times) }
  return (plan) => ({ ...plan, demand: changed })
}
