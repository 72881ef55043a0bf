import { type Database, one } from '../db/database.ts'
import {
  newSecret,
  OVERLAP_SECONDS,
  REPEAT_WINDOW_SECONDS,
  SECRET_COLUMNS,
  type SigningSecret,
} from './secret.ts'

/** The secret that signs deliveries to the webhook_url of an account's videos. */
export interface AccountSecret extends SigningSecret {
  created_at: Date
}

const COLUMNS = `created_at, ${SECRET_COLUMNS}`

/** The account's secret; generated when it is first needed. */
export async function readAccountSecret(db: Database, accountId: string): Promise<AccountSecret> {
  const select = { text: `select ${COLUMNS} from webhook_secret where account_id = $1`, values: [accountId] }
  const known = (await db.query<AccountSecret>(select)).rows[0]
  if (known !== undefined) return known
  await db.query({
    text: 'insert into webhook_secret (account_id, secret) values ($1, $2) on conflict do nothing',
    values: [accountId, newSecret()],
  })
  return one(await db.query<AccountSecret>(select))
}

/**
 * Generates another secret; the one before it signs as well for a day. A repeat of the request returns the
 * secret that the first one made: another rotation would end the one before it.
 */
export async function rotateAccountSecret(
  db: Database,
  accountId: string,
  { isRepeat }: { isRepeat: boolean },
): Promise<AccountSecret> {
  const { rows } = await db.query<AccountSecret>({
    text: `insert into webhook_secret as s (account_id, secret) values ($1, $2)
    on conflict (account_id) do update set
      secret = $2,
      created_at = now(),
      previous_secret = s.secret,
      previous_secret_until = now() + make_interval(secs => $3)
    where not (
      $4::boolean and coalesce(s.previous_secret_until > now() + make_interval(secs => $5), false)
    )
    returning ${COLUMNS}`,
    values: [accountId, newSecret(), OVERLAP_SECONDS, isRepeat, OVERLAP_SECONDS - REPEAT_WINDOW_SECONDS],
  })
  return rows[0] ?? readAccountSecret(db, accountId)
}
