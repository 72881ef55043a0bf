import { isPaceKnown } from '@sluice/gate/pace'
import { fitsPool } from '@sluice/gate/pool-fits'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { formatSize } from '@sluice/shared/models/sizes'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { Faults } from './faults.ts'
import type { Plan, PlannedPool, PlannedVideo } from './plan.ts'
import { readHours, readMix, readTrace } from './read-demand.ts'
import { readAccounts, readPrices } from './read-money.ts'
import { readPaces, readPools } from './read-pools.ts'
import { Row } from './row.ts'
import { hasSection, type PlanText, SECTIONS } from './sections.ts'

const FIELDS = [
  ...SECTIONS,
  'currency',
  'multipliers',
  'account_share_percent',
  'switch_wait_seconds',
  'wait_seconds',
  'expires_seconds',
  // What `sluice plan --from-service --save` writes besides.
  ...['object', 'from', 'to'],
]
const DAY_SECONDS = 86_400

/** What a plan says nothing of: as a service has it without settings, and waits that people bear. */
const DEFAULTS = {
  multipliers: { priority: 1.5, standard: 1, flex: 0.5 },
  waitSeconds: { priority: 60, standard: 600, flex: 4 * 3_600 },
  expiresSeconds: { priority: DAY_SECONDS, standard: DAY_SECONDS, flex: 3 * DAY_SECONDS },
  accountSharePercent: 75,
  switchWaitSeconds: 300,
} as const

/** Judges a plan. Throws PlanError, which names each place that is wrong. */
export function readPlan(text: PlanText, catalogue: Catalogue): Plan {
  const faults = new Faults()
  const document = new Row('', text.document, faults)
  document.allow(FIELDS)
  const accounts = readAccounts(text, faults)
  const videos = hasSection(text, 'trace')
    ? readTrace(text, { catalogue, accounts }, faults)
    : readMix(text, { catalogue, accounts }, faults)
  const pools = readPools(text, faults)
  const { paces, assumedPaces } = readPaces(text, { catalogue, pools, mix: videos.mix }, faults)
  const prices = readPrices(text, catalogue, faults)
  const plan: Plan = {
    currency: readCurrency(document),
    mix: videos.mix,
    demand: videos.trace ?? readHours(text, videos.mix, faults),
    pools,
    paces,
    assumedPaces,
    prices,
    multiplierBps: multipliersOf(byTier(document, 'multipliers', faults, DEFAULTS.multipliers)),
    accounts,
    accountSharePercent: document.whole('account_share_percent', {
      min: 1,
      max: 100,
      otherwise: DEFAULTS.accountSharePercent,
    }),
    switchWaitMsMax:
      1_000 *
      document.whole('switch_wait_seconds', {
        min: 0,
        max: DAY_SECONDS,
        otherwise: DEFAULTS.switchWaitSeconds,
      }),
    waitMsMax: inMs(byTier(document, 'wait_seconds', faults, DEFAULTS.waitSeconds)),
    expiresMs: inMs(byTier(document, 'expires_seconds', faults, DEFAULTS.expiresSeconds)),
  }
  // Of rows that are wrong nothing can be said together.
  faults.check()
  checkTogether(plan, videos.places, faults)
  faults.check()
  return plan
}

function readCurrency(document: Row): string {
  const currency = document.text('currency', 'USD')
  if (!/^[A-Z]{3}$/.test(currency)) document.refuse('currency', 'allowed are three capitals, such as USD')
  return currency
}

/** An object with a number for each tier; what is left out has a default. */
function byTier(
  document: Row,
  name: string,
  faults: Faults,
  defaults: Readonly<Record<ServiceTier, number>>,
): Record<ServiceTier, number> {
  const given = document.object(name)
  const row = new Row(name, given, faults)
  row.allow(SERVICE_TIERS)
  const read = (tier: ServiceTier) =>
    row.number(tier, { min: 0.0001, max: 10_000_000, otherwise: defaults[tier] })
  return { priority: read('priority'), standard: read('standard'), flex: read('flex') }
}

function multipliersOf(given: Record<ServiceTier, number>): Record<ServiceTier, bigint> {
  const bps = (times: number) => BigInt(Math.round(times * 10_000))
  return { priority: bps(given.priority), standard: bps(given.standard), flex: bps(given.flex) }
}

function inMs(seconds: Record<ServiceTier, number>): Record<ServiceTier, number> {
  return {
    priority: seconds.priority * 1_000,
    standard: seconds.standard * 1_000,
    flex: seconds.flex * 1_000,
  }
}

/** Notes videos that no pool makes, that have no price, and pools without a pace for what they would make. */
function checkTogether({ mix, pools, paces, prices }: Plan, places: readonly string[], faults: Faults): void {
  const unpaced = new Set<string>()
  const unpriced = new Set<string>()
  for (const [index, video] of mix.entries()) {
    const place = places[index] ?? 'mix'
    const makers = pools.filter((pool) => fitsPool(pool, video))
    if (makers.length === 0) faults.add(place, `no pool makes ${videoText(video)}`)
    for (const pool of makers.filter((maker) => !isPaceKnown(paces, maker, video)))
      noteUnpaced(pool, video, { unpaced, faults })
    const { model, resolution } = video
    const isPriced = prices.some((price) => price.model === model && price.resolution === resolution)
    if (isPriced || unpriced.has(`${model} ${resolution}`)) continue
    unpriced.add(`${model} ${resolution}`)
    faults.add(place, `there is no price of ${model} ${resolution}: add one to prices`)
  }
}

function noteUnpaced(
  { pool }: PlannedPool,
  { capability, resolution }: PlannedVideo,
  { unpaced, faults }: { unpaced: Set<string>; faults: Faults },
): void {
  const what = `${capability} ${resolution}`
  if (unpaced.has(`${pool} ${what}`)) return
  unpaced.add(`${pool} ${what}`)
  faults.add(`pool ${pool}`, `has no pace for ${what}: add a row to paces`)
}

function videoText({ capability, width, height, num_frames }: PlannedVideo): string {
  return `${capability} ${formatSize({ width, height })} with ${num_frames} frames`
}
