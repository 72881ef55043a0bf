import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { resolutionsOf } from '@sluice/shared/model-catalogue'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { createKey, storeKey } from '../keys/api-key.ts'
import { authenticate } from '../keys/authenticate.ts'
import { createAccount } from './create-account.ts'

/** Micro-units per million generated tokens until the operator sets others: about 2.5 times what an H200 at 2 an hour costs. */
const FIRST_PRICES = { '256px': 200_000n, '768px': 600_000n } as const
/** Enough for 1,000 M tokens at the highest price and the priority tier. */
const FIRST_TRIAL_MICROS = 1_000_000_000n
/** Serialises first starts of several API processes on one database. */
const FIRST_START_LOCK = 0x66697273

const keysSchema = z.object({ key: z.string(), admin_key: z.string() })

/**
 * Makes what a new installation needs and keeps it complete: prices, a first account with trial credit, `keys.json`
 * (`{key, admin_key, base_url}`) and `worker-token` in the data dir, both mode 0600. A keys.json that was lost is made
 * anew with new keys. `baseUrl` is this process's public address.
 */
export async function ensureFirstStart(context: Context, baseUrl: string): Promise<void> {
  const { dataDir } = context.config
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const client = await context.db.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [FIRST_START_LOCK])
    await ensurePrices(context)
    await ensureWorkerToken(context, join(dataDir, 'worker-token'))
    await ensureKeys(context, join(dataDir, 'keys.json'), baseUrl)
  } finally {
    await client.query('select pg_advisory_unlock($1)', [FIRST_START_LOCK])
    client.release()
  }
}

async function ensurePrices(context: Context): Promise<void> {
  for (const model of context.config.catalogue.models) {
    for (const resolution of resolutionsOf(model)) {
      await context.db.query({
        text: `insert into price (model, resolution, currency, micros_per_million) select $1, $2, $3, $4
        where not exists (select from price where model = $1 and resolution = $2 and currency = $3)`,
        values: [
          model.id,
          resolution,
          context.config.currency,
          model.firstPriceMicros?.[resolution] ?? FIRST_PRICES[resolution],
        ],
      })
    }
  }
}

async function ensureWorkerToken(context: Context, path: string): Promise<void> {
  const given =
    context.config.workerToken ?? (existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined)
  const secret =
    given ?? (await createKey(context.db, { accountId: null, scopes: ['worker'], kind: 'worker' })).secret
  if (given !== undefined) await storeKey(context.db, { accountId: null, scopes: ['worker'], secret })
  writePrivate(path, `${secret}\n`)
}

async function ensureKeys(context: Context, path: string, baseUrl: string): Promise<void> {
  const known = readKeys(path)
  const keys = known !== null && (await bothWork(context, known)) ? known : await makeKeys(context)
  writePrivate(
    path,
    `${JSON.stringify({ key: keys.key, admin_key: keys.admin_key, base_url: `${baseUrl}/v1` }, null, 2)}\n`,
  )
}

function readKeys(path: string): z.infer<typeof keysSchema> | null {
  if (!existsSync(path)) return null
  try {
    return keysSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

async function bothWork(context: Context, keys: z.infer<typeof keysSchema>): Promise<boolean> {
  const works = (secret: string) =>
    authenticate(context.db, `Bearer ${secret}`).then(
      () => true,
      () => false,
    )
  return (await works(keys.key)) && (await works(keys.admin_key))
}

async function makeKeys(context: Context): Promise<z.infer<typeof keysSchema>> {
  const { rows } = await context.db.query<{ id: string }>({
    text: 'select id from account order by created_at limit 1',
  })
  const accountId = rows[0]?.id
  const admin = await transaction(context.db, (db) =>
    createKey(db, { accountId: null, scopes: ['admin'], kind: 'admin' }),
  )
  if (accountId === undefined) {
    const account = await createAccount(context, { name: 'first account', trialMicros: FIRST_TRIAL_MICROS })
    return { key: account.key, admin_key: admin.secret }
  }
  const key = await createKey(context.db, {
    accountId,
    scopes: ['videos:read', 'videos:write'],
    kind: 'account',
  })
  return { key: key.secret, admin_key: admin.secret }
}

/** Whole or not at all, and readable by its owner alone. */
function writePrivate(path: string, text: string): void {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
