import { isId, newId } from '@sluice/shared/ids'
import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { checkOutgoingUrl } from '../outgoing/guarded-fetch.ts'
import type { OutgoingRules } from '../outgoing/outgoing-url.ts'
import type { EndpointEvent } from './event.ts'
import {
  newSecret,
  OVERLAP_SECONDS,
  REPEAT_WINDOW_SECONDS,
  SECRET_COLUMNS,
  type SigningSecret,
} from './secret.ts'

const ENDPOINTS_MAX = 20

/** A row of table webhook_endpoint. */
export interface Endpoint extends SigningSecret {
  id: string
  account_id: string
  url: string
  events: EndpointEvent[]
  name: string
  created_at: Date
  /** The last change of the endpoint or its secret. */
  updated_at: Date
  disabled_at: Date | null
  /** By its owner, or by its own answer 410; null while it is not disabled. */
  disabled_reason: 'asked' | 'gone' | null
}

const COLUMNS = `id, account_id, url, events, name, created_at, updated_at, disabled_at, disabled_reason,
    ${SECRET_COLUMNS}`

export interface NewEndpoint {
  accountId: string
  url: string
  events: readonly EndpointEvent[]
  name: string
}

/**
 * Stores a new endpoint with a secret of its own. A repeat of the request returns the endpoint that the first
 * one made. Throws SluiceError when the URL is refused or the account has too many endpoints.
 */
export async function createEndpoint(
  pool: DatabasePool,
  rules: OutgoingRules,
  endpoint: NewEndpoint,
  { isRepeat }: { isRepeat: boolean },
): Promise<Endpoint> {
  await checkOutgoingUrl(endpoint.url, 'url', rules)
  return transaction(pool, async (db) => {
    // One request at a time for each account, so that the count of endpoints stays true until the insert.
    await db.query({
      text: 'select from account where id = $1 for no key update',
      values: [endpoint.accountId],
    })
    const earlier = isRepeat ? await findRecent(db, endpoint) : undefined
    return earlier ?? insert(db, endpoint)
  })
}

/** The newest endpoint just like that one, if it was made a moment ago. */
async function findRecent(db: Database, endpoint: NewEndpoint): Promise<Endpoint | undefined> {
  const { rows } = await db.query<Endpoint>({
    text: `select ${COLUMNS}
    from webhook_endpoint
    where account_id = $1 and url = $2 and events = $3 and name = $4 and deleted_at is null
      and created_at > now() - make_interval(secs => $5)
    order by id desc
    limit 1`,
    values: [
      endpoint.accountId,
      endpoint.url,
      [...new Set(endpoint.events)],
      endpoint.name,
      REPEAT_WINDOW_SECONDS,
    ],
  })
  return rows[0]
}

async function insert(db: Database, endpoint: NewEndpoint): Promise<Endpoint> {
  const { rows } = await db.query<Endpoint>({
    text: `insert into webhook_endpoint (id, account_id, url, events, name, secret)
    select $1, $2, $3, $4, $5, $6
    where (select count(*) from webhook_endpoint where account_id = $2 and deleted_at is null) < $7
    returning ${COLUMNS}`,
    values: [
      newId('whe'),
      endpoint.accountId,
      endpoint.url,
      [...new Set(endpoint.events)],
      endpoint.name,
      newSecret(),
      ENDPOINTS_MAX,
    ],
  })
  if (rows[0] !== undefined) return rows[0]
  throw new SluiceError(
    'state_conflict',
    `This account has ${ENDPOINTS_MAX} webhook endpoints, which is the most allowed. Delete one first.`,
  )
}

/** A page of an account's endpoints, newest first. `after` is the last id of the page before. */
export async function listEndpoints(
  db: Database,
  accountId: string,
  page: { after?: string | undefined; limit: number },
): Promise<{ endpoints: Endpoint[]; hasMore: boolean }> {
  if (page.after !== undefined) {
    const { rowCount } = await db.query({
      text: 'select from webhook_endpoint where id = $1 and account_id = $2',
      values: [isId('whe', page.after) ? page.after : null, accountId],
    })
    if (rowCount === 0)
      throw new SluiceError(
        'not_found',
        'No such webhook endpoint: after is the id the page before ended with.',
        'after',
      )
  }
  const { rows } = await db.query<Endpoint>({
    text: `select ${COLUMNS}
    from webhook_endpoint
    where account_id = $1 and deleted_at is null and ($2::text is null or id < $2)
    order by id desc
    limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return { endpoints: rows.slice(0, page.limit), hasMore: rows.length > page.limit }
}

/** An account's endpoint. Throws SluiceError `not_found`, also for a malformed id and another tenant's. */
export async function readEndpoint(db: Database, accountId: string, endpointId: string): Promise<Endpoint> {
  if (!isId('whe', endpointId)) throw notFound()
  const { rows } = await db.query<Endpoint>({
    text: `select ${COLUMNS}
    from webhook_endpoint
    where id = $1 and account_id = $2 and deleted_at is null`,
    values: [endpointId, accountId],
  })
  if (rows[0] === undefined) throw notFound()
  return rows[0]
}

/** What to change of an endpoint; what is undefined stays. */
export interface EndpointChanges {
  url?: string | undefined
  events?: readonly EndpointEvent[] | undefined
  name?: string | undefined
  disabled?: boolean | undefined
}

/**
 * Changes an endpoint. Pending deliveries go to the new URL; those of a disabled endpoint fail when they are
 * due. Throws SluiceError when there is no such endpoint or the URL is refused.
 */
export async function updateEndpoint(
  db: Database,
  rules: OutgoingRules,
  { accountId, endpointId }: { accountId: string; endpointId: string },
  changes: EndpointChanges,
): Promise<Endpoint> {
  await readEndpoint(db, accountId, endpointId)
  if (changes.url !== undefined) await checkOutgoingUrl(changes.url, 'url', rules)
  const { rows } = await db.query<Endpoint>({
    text: `update webhook_endpoint set
      url = coalesce($3, url),
      events = coalesce($4, events),
      disabled_at = case
        when $5::boolean is null then disabled_at
        when $5 then coalesce(disabled_at, now())
      end,
      disabled_reason = case
        when $5 is null then disabled_reason
        when $5 then coalesce(disabled_reason, 'asked')
      end,
      -- another URL, or one that its owner enables again, has not asked for a pause
      paused_until = case when $3 is null and $5 is null then paused_until end,
      name = coalesce($6, name),
      updated_at = now()
    where id = $1 and account_id = $2 and deleted_at is null
    returning ${COLUMNS}`,
    values: [
      endpointId,
      accountId,
      changes.url ?? null,
      changes.events === undefined ? null : [...new Set(changes.events)],
      changes.disabled ?? null,
      changes.name ?? null,
    ],
  })
  if (rows[0] === undefined) throw notFound()
  return rows[0]
}

/** Deletes an endpoint; its pending deliveries fail when they are due. Throws SluiceError `not_found`. */
export async function deleteEndpoint(db: Database, accountId: string, endpointId: string): Promise<void> {
  const { id } = await readEndpoint(db, accountId, endpointId)
  await db.query({
    text: 'update webhook_endpoint set deleted_at = now() where id = $1 and deleted_at is null',
    values: [id],
  })
}

/**
 * Gives an endpoint a new secret. With `keepsOld` the one before it signs as well for a day, otherwise no
 * longer. A repeat of the request returns the secret that the first one made: another rotation would end the
 * one before it.
 */
export async function rotateEndpoint(
  db: Database,
  accountId: string,
  endpointId: string,
  { keepsOld, isRepeat }: { keepsOld: boolean; isRepeat: boolean },
): Promise<Endpoint> {
  const { id } = await readEndpoint(db, accountId, endpointId)
  const { rows } = await db.query<Endpoint>({
    text: `update webhook_endpoint set
      secret = $2,
      updated_at = now(),
      previous_secret = case when $4::boolean then secret end,
      previous_secret_until = case when $4 then now() + make_interval(secs => $3) end
    where id = $1 and not (
      -- a repeat: the secret was rotated a moment ago
      $4 and $5::boolean and coalesce(previous_secret_until > now() + make_interval(secs => $6), false)
    )
    returning ${COLUMNS}`,
    values: [id, newSecret(), OVERLAP_SECONDS, keepsOld, isRepeat, OVERLAP_SECONDS - REPEAT_WINDOW_SECONDS],
  })
  return rows[0] ?? readEndpoint(db, accountId, endpointId)
}

function notFound(): SluiceError {
  return new SluiceError('not_found', 'No such webhook endpoint.', 'id')
}
