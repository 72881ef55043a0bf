import type { Catalogue } from '@sluice/shared/models/catalogue'
import { PRICE_MICROS_MAX } from '@sluice/shared/money'
import type { Faults } from './faults.ts'
import type { PlannedAccount, PlannedPrice } from './plan.ts'
import { hasSection, type PlanText, sectionRows } from './sections.ts'

/** The account of a plan that names none. */
const ONLY_ACCOUNT: PlannedAccount = { account: 'everybody', weight: 100, runningMax: null, share: 1 }

/** Reads `accounts`; without any, one has everything. */
export function readAccounts(text: PlanText, faults: Faults): PlannedAccount[] {
  if (!hasSection(text, 'accounts')) return [ONLY_ACCOUNT]
  const accounts = new Map<string, PlannedAccount>()
  for (const row of sectionRows(text, 'accounts', faults)) {
    row.allow(['account', 'name', 'share', 'weight', 'running_max'])
    const account = row.name('account')
    if (account !== '' && accounts.has(account)) row.refuse('account', 'each account stands there once')
    const read = {
      account,
      weight: row.whole('weight', { min: 1, max: 10_000, otherwise: 100 }),
      runningMax: row.has('running_max') ? row.whole('running_max', { min: 1, max: 1_000_000 }) : null,
      share: row.number('share', { min: 0, max: 1e12, otherwise: 1 }),
    }
    accounts.set(account, read)
  }
  return [...accounts.values()]
}

/** Reads `prices`: what a million tokens of a model and class cost, at the multiplier 1. */
export function readPrices(text: PlanText, catalogue: Catalogue, faults: Faults): PlannedPrice[] {
  const prices = new Map<string, PlannedPrice>()
  for (const row of sectionRows(text, 'prices', faults)) {
    row.allow(['model', 'class', 'per_million'])
    const model = row.name('model')
    const resolution = row.name('class')
    const classes = catalogue.find(model)?.resolutions
    if (classes !== undefined && !classes.includes(resolution))
      row.refuse('class', `allowed are the classes of ${model}: ${classes.join(', ')}`)
    if (prices.has(`${model} ${resolution}`)) row.refuse('class', 'each class of a model has one price')
    const microsPerMillion = row.price('per_million')
    if (microsPerMillion > PRICE_MICROS_MAX) row.refuse('per_million', 'allowed is at most a million')
    prices.set(`${model} ${resolution}`, { model, resolution, microsPerMillion })
  }
  return [...prices.values()]
}
