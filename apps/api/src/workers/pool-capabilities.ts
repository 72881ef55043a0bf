import { LEASE_MS } from '@sluice/shared/attempt-contract'
import { type Catalogue, capabilitiesOf, type Mode } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'

/** What one or more workers of a pool serve. */
export interface WorkerOffer {
  models: readonly string[]
  modes: readonly Mode[]
}

/** A video may be given to any worker of the pool, so only what all of them offer counts; a model with a pool of its own goes nowhere else. */
export function capabilitiesOfPool(
  pool: string,
  offers: readonly WorkerOffer[],
  catalogue: Catalogue,
): string[] {
  const [first = [], ...others] = offers.map(({ models, modes }) =>
    capabilitiesOf(
      models.filter((id) => (catalogue.find(id)?.pool ?? pool) === pool),
      modes,
    ),
  )
  return first.filter((capability) => others.every((offered) => offered.includes(capability)))
}

/** What the workers that are connected can make between them. */
export async function readCapabilities(db: Database, catalogue: Catalogue): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ pool: string; offers: WorkerOffer[] }>({
    name: 'workers-offer',
    text: `select pool, json_agg(distinct jsonb_build_object('models', models, 'modes', modes)) as offers from worker
    where slots > 0 and not draining and heartbeat_at > now() - make_interval(secs => $1) group by pool`,
    values: [LEASE_MS / 1_000],
  })
  return new Set(rows.flatMap(({ pool, offers }) => capabilitiesOfPool(pool, offers, catalogue)))
}
