import { isId, newId } from '@sluice/shared/ids'
import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { checkOutgoingUrl } from '../outgoing/guarded-fetch.ts'
import type { OutgoingRules } from '../outgoing/outgoing-url.ts'
import type { VideoEvent } from './event.ts'
import { newSecret, OVERLAP_SECONDS } from './secret.ts'

export const ENDPOINTS_MAX = 20
/** An SDK repeats what it heard no answer to within minutes. */
const RETRY_WINDOW_SECONDS = 600

/** A row of table webhook_endpoint. */
export interface Endpoint {
  id: string
  account_id: string
  url: string
  events: VideoEvent[]
  name: string
  secret: string
  /** Signs as well, until then; null when there is none or its time is over. */
  previous_secret: string | null
  previous_secret_until: Date | null
  created_at: Date
  /** When it or its secret was changed last. */
  updated_at: Date
  disabled_at: Date | null
}

const COLUMNS = `id, account_id, url, events, name, secret, created_at, updated_at, disabled_at,
  case when previous_secret_until > now() then previous_secret end as previous_secret,
  case when previous_secret_until > now() then previous_secret_until end as previous_secret_until`

/**
 * Keeps a new endpoint with a secret of its own. `isRetry`: who asks never heard of the same one made just now, and is answered with
 * it. Throws SluiceError when the URL is refused or the account has too many.
 */
export async function createEndpoint(
  pool: DatabasePool,
  rules: OutgoingRules,
  accountId: string,
  endpoint: { url: string; events: readonly VideoEvent[]; name: string },
  isRetry: boolean,
): Promise<Endpoint> {
  await checkOutgoingUrl(endpoint.url, 'url', rules)
  return transaction(pool, async (db) => {
    // One after the other, so that the count holds.
    await db.query({ text: 'select from account where id = $1 for no key update', values: [accountId] })
    if (isRetry) {
      const { rows: earlier } = await db.query<Endpoint>({
        text: `select ${COLUMNS} from webhook_endpoint where account_id = $1 and url = $2 and events = $3 and name = $4
        and deleted_at is null and created_at > now() - make_interval(secs => $5) order by id desc limit 1`,
        values: [accountId, endpoint.url, [...new Set(endpoint.events)], endpoint.name, RETRY_WINDOW_SECONDS],
      })
      if (earlier[0] !== undefined) return earlier[0]
    }
    const { rows } = await db.query({
      text: `insert into webhook_endpoint (id, account_id, url, events, name, secret) select $1, $2, $3, $4, $5, $6
      where (select count(*) from webhook_endpoint where account_id = $2 and deleted_at is null) < $7 returning ${COLUMNS}`,
      values: [
        newId('whe'),
        accountId,
        endpoint.url,
        [...new Set(endpoint.events)],
        endpoint.name,
        newSecret(),
        ENDPOINTS_MAX,
      ],
    })
    if (rows[0] === undefined) {
      throw new SluiceError(
        'state_conflict',
        `This account has ${ENDPOINTS_MAX} webhook endpoints, which is the most allowed. Delete one first.`,
      )
    }
    return rows[0] as Endpoint
  })
}

/** A page of an account's endpoints, newest first; `after` is the id the page before ended with, of a deleted one too. */
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
    text: `select ${COLUMNS} from webhook_endpoint where account_id = $1 and deleted_at is null and ($2::text is null or id < $2)
    order by id desc limit $3`,
    values: [accountId, page.after ?? null, page.limit + 1],
  })
  return { endpoints: rows.slice(0, page.limit), hasMore: rows.length > page.limit }
}

/** An account's endpoint. Throws SluiceError `not_found` for an unknown or malformed id and for another tenant's alike. */
export async function readEndpoint(db: Database, accountId: string, endpointId: string): Promise<Endpoint> {
  return found(
    isId('whe', endpointId)
      ? await db.query<Endpoint>({
          text: `select ${COLUMNS} from webhook_endpoint where id = $1 and account_id = $2 and deleted_at is null`,
          values: [endpointId, accountId],
        })
      : { rows: [] },
  )
}

/** What may be changed of an endpoint; what is left out stays. */
export interface EndpointChanges {
  url?: string | undefined
  events?: readonly VideoEvent[] | undefined
  name?: string | undefined
  disabled?: boolean | undefined
}

/** Changes an endpoint. Deliveries that wait go to the new URL; those of a disabled endpoint end when they are due. */
export async function updateEndpoint(
  db: Database,
  rules: OutgoingRules,
  accountId: string,
  endpointId: string,
  changes: EndpointChanges,
): Promise<Endpoint> {
  await readEndpoint(db, accountId, endpointId)
  if (changes.url !== undefined) await checkOutgoingUrl(changes.url, 'url', rules)
  return found(
    await db.query<Endpoint>({
      text: `update webhook_endpoint set url = coalesce($3, url), events = coalesce($4, events), name = coalesce($6, name), updated_at = now(),
        disabled_at = case when $5::boolean is null then disabled_at when $5 then coalesce(disabled_at, now()) end
      where id = $1 and account_id = $2 and deleted_at is null returning ${COLUMNS}`,
      values: [
        endpointId,
        accountId,
        changes.url ?? null,
        changes.events === undefined ? null : [...new Set(changes.events)],
        changes.disabled ?? null,
        changes.name ?? null,
      ],
    }),
  )
}

/** Deletes an endpoint; what waits for it ends when it is due. */
export async function deleteEndpoint(db: Database, accountId: string, endpointId: string): Promise<void> {
  const { id } = await readEndpoint(db, accountId, endpointId)
  await db.query({
    text: 'update webhook_endpoint set deleted_at = now() where id = $1 and deleted_at is null',
    values: [id],
  })
}

/**
 * Draws another secret. With `keepsOld` the one before signs as well for a day, else no longer. `isRetry`: who asks never heard of the
 * secret drawn just now and is answered with it; drawing again would end the one that is in use.
 */
export async function rotateEndpoint(
  db: Database,
  accountId: string,
  endpointId: string,
  { keepsOld, isRetry }: { keepsOld: boolean; isRetry: boolean },
): Promise<Endpoint> {
  const { id } = await readEndpoint(db, accountId, endpointId)
  const { rows } = await db.query<Endpoint>({
    text: `update webhook_endpoint set secret = $2, updated_at = now(), previous_secret = case when $4::boolean then secret end,
      previous_secret_until = case when $4 then now() + make_interval(secs => $3) end
    where id = $1 and not ($4 and $5::boolean and coalesce(previous_secret_until > now() + make_interval(secs => $6), false))
    returning ${COLUMNS}`,
    values: [id, newSecret(), OVERLAP_SECONDS, keepsOld, isRetry, OVERLAP_SECONDS - RETRY_WINDOW_SECONDS],
  })
  return rows[0] ?? readEndpoint(db, accountId, endpointId)
}

function found(result: { rows: Endpoint[] }): Endpoint {
  const [endpoint] = result.rows
  if (endpoint === undefined) throw new SluiceError('not_found', 'No such webhook endpoint.', 'id')
  return endpoint
}
