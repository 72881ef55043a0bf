import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { allowedSecret, faultOfSecret, SECRET_CHARS_MIN, SettingError } from '@sluice/shared/settings'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import type { Scope } from '../keys/api-key.ts'
import { authenticate } from '../keys/authenticate.ts'
import { issueKeyAtStart, storeKeyAtStart } from '../keys/create-key.ts'
import { openAccountWithKeyIn } from './open-account.ts'

/** Enough for 1,000 M tokens at the highest price and the priority tier. */
const FIRST_TRIAL_MICROS = 1_000_000_000n

const keysSchema = z.object({ key: z.string(), admin_key: z.string() })
type Keys = z.infer<typeof keysSchema>

/**
 * Stores the worker token of the setting, else of the file; the first start of an installation makes one. A
 * later start without the file makes none: each start on an empty data dir would leave one more token behind
 * that nobody knows of.
 */
export async function setUpWorkerToken({ config, db, log }: Context, path: string): Promise<void> {
  const worker = { accountId: null, scopes: ['worker'] } as const
  const ofFile = readIfThere(path)?.trim()
  const given = config.workerToken ?? ofFile
  await transaction(db, async (tx) => {
    if (given !== undefined) {
      requireLong(given, config.workerToken === undefined ? path : 'SLUICE_WORKER_TOKEN')
      await storeKeyAtStart(tx, { ...worker, secret: given })
      if (given !== ofFile) writePrivate(path, `${given}\n`)
    } else if (await isFirst(tx, 'worker')) {
      const { secret } = await issueKeyAtStart(tx, { ...worker, kind: 'worker' })
      // Before the commit: a start that is killed in between leaves a file that the next start writes anew.
      writePrivate(path, `${secret}\n`)
    } else {
      log.warn(
        { setting: 'SLUICE_WORKER_TOKEN', path },
        `${path} is not there and this installation has a worker token: none is made. Put the file back, or set SLUICE_WORKER_TOKEN`,
      )
    }
  })
}

/**
 * Makes `keys.json` (`{key, admin_key, base_url}`) at the first start of an installation. The admin key is
 * that of the setting, else a new one. A later start stores the setting's admin key if it is new, makes none
 * itself, and keeps the file's base URL true.
 */
export async function setUpKeys(context: Context, path: string, baseUrl: string): Promise<void> {
  const { config, db, log } = context
  const admin = { accountId: null, scopes: ['admin'] } as const
  const known = readKeys(path)
  const write = ({ key, admin_key }: Keys) =>
    writePrivate(path, `${JSON.stringify({ key, admin_key, base_url: `${baseUrl}/v1` }, null, 2)}\n`)
  await transaction(db, async (tx) => {
    const first = await isFirst(tx, 'admin')
    if (config.adminKey !== undefined) await storeKeyAtStart(tx, { ...admin, secret: config.adminKey })
    if (first) {
      const admin_key = config.adminKey ?? (await issueKeyAtStart(tx, { ...admin, kind: 'admin' })).secret
      // Before the commit, as above.
      write({ key: await issueFirstKey(tx, context), admin_key })
    } else if (known !== null && (await isValid(tx, known.admin_key))) {
      write(known)
    } else if (config.adminKey === undefined) {
      const what = known === null ? 'is not there' : 'has an admin key that is not valid here'
      log.warn(
        { setting: 'SLUICE_ADMIN_KEY', path },
        `${path} ${what}, and this installation has an admin key: none is made. Put the file back, or set SLUICE_ADMIN_KEY to one of your own`,
      )
    }
  })
}

/** A key of the oldest account, which is opened when there is none. */
async function issueFirstKey(db: Database, context: Context): Promise<string> {
  const { rows } = await db.query<{ id: string }>({
    text: 'select id from account order by created_at limit 1',
  })
  const accountId = rows[0]?.id
  if (accountId === undefined) {
    const first = { name: 'first account', trialMicros: FIRST_TRIAL_MICROS }
    return (await openAccountWithKeyIn(db, context, first)).key
  }
  const scopes = ['videos:read', 'videos:write'] as const
  return (await issueKeyAtStart(db, { accountId, scopes, kind: 'account' })).secret
}

/** True when the installation never had a key with the scope, be it revoked by now. */
async function isFirst(db: Database, scope: Scope): Promise<boolean> {
  const { rows } = await db.query({
    text: 'select from api_key where account_id is null and $1 = any (scopes) limit 1',
    values: [scope],
  })
  return rows.length === 0
}

function isValid(db: Database, secret: string): Promise<boolean> {
  return authenticate(db, secret).then(
    ({ scopes }) => scopes.includes('admin'),
    () => false,
  )
}

/** Throws SettingError for a token that somebody could guess, wherever it comes from. */
function requireLong(secret: string, where: string): void {
  const fault = faultOfSecret(secret, SECRET_CHARS_MIN)
  if (fault !== null) throw new SettingError(where, fault, `allowed are ${allowedSecret(SECRET_CHARS_MIN)}`)
}

function readKeys(path: string): Keys | null {
  try {
    return keysSchema.parse(JSON.parse(readIfThere(path) ?? ''))
  } catch {
    return null
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes the file whole or not at all, readable by its owner alone; not if it says the same already. */
function writePrivate(path: string, text: string): void {
  if (readIfThere(path) === text) return
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
