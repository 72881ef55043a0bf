import { type Catalogue, capabilitiesOf, type Mode } from '@sluice/shared/model-catalogue'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/database.ts'

/** What one or more workers of a pool serve. */
export interface ServedModels {
  models: readonly string[]
  modes: readonly Mode[]
}

/**
 * What a pool can make. A video may be given to any worker of the pool, so only what all of them serve
 * counts; a model with a pool of its own is made nowhere else.
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

/** What the living workers can make between them. */
export async function readCapabilities(
  db: Database,
  config: Pick<Config, 'catalogue' | 'timings'>,
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ pool: string; served: ServedModels[] }>({
    name: 'workers-serve',
    text: `select pool, json_agg(distinct jsonb_build_object('models', models, 'modes', modes)) as served
      from living_worker($1) group by pool`,
    values: [config.timings.leaseMs],
  })
  return new Set(rows.flatMap(({ pool, served }) => capabilitiesOfPool(pool, served, config.catalogue)))
}
