import { runSql } from './accounts.ts'

export type BacklogSize = { queued: number; ended: number } & Owners
/** So many new accounts with a key each; or an account that there is, with so many new keys or its own. */
export type Owners = { accounts: number } | { accountId: string; keys: number | string }

/**
 * Writes `queued` waiting and `ended` finished videos into the tables, by SQL. Each has its hold and, when it
 * has ended, its settlement. They cost nothing, so every invariant of the ledger holds. Their ids are older
 * than any that the API gives, and their owners take turns, as in a real service.
 */
export async function seedBacklog(databaseUrl: string, size: BacklogSize): Promise<void> {
  await runSql(databaseUrl, [
    ...ownerStatements(size),
    // Each row's foreign key would be looked up one by one at the commit; all of them hold by construction.
    'alter table transfer disable trigger all',
    videoStatement(size),
    transferStatement('hold', size.queued + size.ended),
    ...(size.ended === 0 ? [] : [transferStatement('settle', size.ended)]),
    'alter table transfer enable trigger all',
    'vacuum analyze',
  ])
}

const newAccountId = (number: string) => `'acct_seed' || lpad((${number})::text, 8, '0')`
const newKeyId = (number: string) => `'key_seed' || lpad((${number})::text, 8, '0')`
const videoId = `'video_00' || lpad(n::text, 24, '0')`

/** The SQL of the account and the key of the owner of this number. */
function ownerOf(owners: Owners, number: string): { accountId: string; keyId: string } {
  if ('accounts' in owners) {
    const turn = `${number} % ${owners.accounts}`
    return { accountId: newAccountId(turn), keyId: newKeyId(turn) }
  }
  const { accountId, keys } = owners
  return {
    accountId: `'${accountId}'`,
    keyId: typeof keys === 'string' ? `'${keys}'` : newKeyId(`${number} % ${keys}`),
  }
}

function ownerStatements(owners: Owners): string[] {
  const { accountId, keyId } = ownerOf(owners, 'n')
  const isNewAccount = 'accounts' in owners
  const keys = isNewAccount ? owners.accounts : owners.keys
  if (typeof keys === 'string') return []
  const numbers = `generate_series(0, ${keys - 1}) n`
  const keyStatement = `insert into api_key (id, account_id, hash, prefix, scopes)
      select ${keyId}, ${accountId}, sha256(('seed' || n)::bytea), 'seed', array['videos:write']
      from ${numbers}`
  if (!isNewAccount) return [keyStatement]
  return [
    `insert into account (id, name, queued_max)
      select ${accountId}, 'seed', 100000000
      from ${numbers}`,
    `insert into ledger_account (kind, account_id, currency, balance)
      select kind, ${accountId}, 'USD', 0
      from ${numbers}, unnest(array['customer', 'trial', 'hold']) kind`,
    keyStatement,
  ]
}

function videoStatement(size: BacklogSize): string {
  const { queued, ended } = size
  const { accountId, keyId } = ownerOf(size, 'n')
  const request = JSON.stringify({
    model: 'animatic',
    mode: 't2v',
    prompt: 'seed',
    width: 336,
    height: 192,
    num_frames: 5,
    num_steps: 2,
  })
  return `
    insert into video (
      id, account_id, key_id, status,
      model, service_tier, resolution, width, height, num_frames, num_steps,
      request, request_hash,
      video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
      charged_micros, charged_steps, error_code, ended_at, swept_at, swept_for_good_at,
      created_at, execution_expires_at
    )
    select
      ${videoId}, ${accountId}, ${keyId},
      case when ended then 'cancelled' else 'queued' end,
      'animatic', 'standard', '256px', 336, 192, 5, 2,
      '${request}', sha256(n::text::bytea),
      504, 'USD', 0, 10000, 0,
      case when ended then 0 end,
      case when ended then 0 end,
      case when ended then 'cancelled' end,
      case when ended then now() end,
      case when ended then now() end,
      case when ended then now() end,
      now() - interval '1 hour', now() + interval '1 day'
    from (select n, n < ${ended} as ended from generate_series(0, ${queued + ended - 1}) n) seed`
}

/** The transfers of the first `count` videos, without entries. */
function transferStatement(kind: 'hold' | 'settle', count: number): string {
  return `
    insert into transfer (id, idempotency_key, kind, video_id)
    select 'txfr_${kind}' || n, '${kind}:' || ${videoId}, '${kind}', ${videoId}
    from generate_series(0, ${count - 1}) n`
}
