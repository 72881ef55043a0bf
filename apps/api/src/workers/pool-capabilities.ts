import { capabilitiesOf } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import type { Mode } from '@sluice/shared/models/model'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/database.ts'

/** What one or more workers that read the same queue serve. */
export interface ServedModels {
  models: readonly string[]
  modes: readonly Mode[]
}

/**
 * What workers that read the same queue can make. A video may be given to any of them, so only what all of
 * them serve counts; a model with a pool of its own is made nowhere else.
 */
export function capabilitiesOfPool(
  pool: string,
  served: readonly ServedModels[],
  catalogue: Catalogue,
): string[] {
  const [first = [], ...others] = served.map(({ models, modes }) =>
    capabilitiesOf(
      models.filter((id) => (catalogue.find(id)?.pool ?? pool) === pool),
      modes,
    ),
  )
  return first.filter((capability) => others.every((capabilities) => capabilities.includes(capability)))
}

/** What the living workers can make between them, without those that leave untaken what they are given. */
export async function readCapabilities(
  db: Database,
  config: Pick<Config, 'catalogue' | 'timings'>,
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ pool: string; served: ServedModels[] }>({
    name: 'workers-serve',
    text: `select pool, json_agg(distinct jsonb_build_object('models', models, 'modes', modes)) as served
      from living_worker($1) w
      where not exists (
        select from queue_delivery d where d.queue = w.queue and d.untaken_in_a_row > 0)
      group by pool, queue`,
    values: [config.timings.leaseMs],
  })
  return new Set(rows.flatMap(({ pool, served }) => capabilitiesOfPool(pool, served, config.catalogue)))
}
