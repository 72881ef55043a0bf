import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { authenticate } from '../keys/authenticate.ts'
import { issueKey, storeKey } from '../keys/create-key.ts'
import { setFirstPrices } from '../prices/first-prices.ts'
import { openAccountWithKey } from './open-account.ts'

/** Enough for 1,000 M tokens at the highest price and the priority tier. */
const FIRST_TRIAL_MICROS = 1_000_000_000n
/** Serialises first starts of several API processes on one database. */
const FIRST_START_LOCK = 0x66697273

const keysSchema = z.object({ key: z.string(), admin_key: z.string() })
type Keys = z.infer<typeof keysSchema>

/**
 * Makes what an installation needs and is not there yet: prices, a first account
 * with trial credit, and in the data dir `keys.json` (`{key, admin_key, base_url}`) and `worker-token`, both
 * of mode 0600. A keys.json that was lost is made anew with new keys. `baseUrl` is this process's public
 * address.
 */
export async function setUpInstallation(context: Context, baseUrl: string): Promise<void> {
  const { dataDir } = context.config
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const client = await context.db.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [FIRST_START_LOCK])
    await setFirstPrices(context)
    await writeWorkerToken(context, join(dataDir, 'worker-token'))
    await writeKeys(context, join(dataDir, 'keys.json'), baseUrl)
  } finally {
    await client.query('select pg_advisory_unlock($1)', [FIRST_START_LOCK])
    client.release()
  }
}

/** The token is the setting's, else the file's, else a new one. */
async function writeWorkerToken({ config, db }: Context, path: string): Promise<void> {
  const worker = { accountId: null, scopes: ['worker'] } as const
  const given = config.workerToken ?? (existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined)
  if (given !== undefined) await storeKey(db, { ...worker, secret: given })
  const secret = given ?? (await issueKey(db, { ...worker, kind: 'worker' })).secret
  writePrivate(path, `${secret}\n`)
}

async function writeKeys(context: Context, path: string, baseUrl: string): Promise<void> {
  const known = readKeys(path)
  const { key, admin_key } =
    known !== null && (await bothAuthenticate(context, known)) ? known : await issueKeys(context)
  writePrivate(path, `${JSON.stringify({ key, admin_key, base_url: `${baseUrl}/v1` }, null, 2)}\n`)
}

function readKeys(path: string): Keys | null {
  if (!existsSync(path)) return null
  try {
    return keysSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

async function bothAuthenticate(context: Context, keys: Keys): Promise<boolean> {
  const authenticates = (secret: string) =>
    authenticate(context.db, secret).then(
      () => true,
      () => false,
    )
  return (await authenticates(keys.key)) && (await authenticates(keys.admin_key))
}

/** An admin key, and a key of the oldest account, which is opened when there is none. */
async function issueKeys(context: Context): Promise<Keys> {
  const { rows } = await context.db.query<{ id: string }>({
    text: 'select id from account order by created_at limit 1',
  })
  const accountId = rows[0]?.id
  const admin = await issueKey(context.db, { accountId: null, scopes: ['admin'], kind: 'admin' })
  if (accountId === undefined) {
    const account = await openAccountWithKey(context, {
      name: 'first account',
      trialMicros: FIRST_TRIAL_MICROS,
    })
    return { key: account.key, admin_key: admin.secret }
  }
  const key = await issueKey(context.db, {
    accountId,
    scopes: ['videos:read', 'videos:write'],
    kind: 'account',
  })
  return { key: key.secret, admin_key: admin.secret }
}

/** Writes the file whole or not at all, readable by its owner alone. */
function writePrivate(path: string, text: string): void {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
