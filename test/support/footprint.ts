import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestApi } from './start-api.ts'

/**
 * What a request could leave behind: rows, balances, files. When it is equal before and after, nothing was
 * left.
 */
export async function footprint(api: TestApi): Promise<Record<string, unknown>> {
  const { db } = api.context
  const { rows } = await db.query({
    text: `select
      (select count(*) from video) as videos,
      (select count(*) from transfer) as transfers,
      (select count(*) from entry) as entries,
      (select count(*) from attempt) as attempts,
      (select count(*) from audit) as changes,
      (select json_agg(used_tokens order by key_id, starts_at) from key_budget) as budgets,
      (select json_agg(json_build_array(id, balance) order by id) from ledger_account) as balances`,
  })
  return { ...rows[0], files: (await readdir(join(api.dataDir, 'objects'), { recursive: true })).toSorted() }
}
