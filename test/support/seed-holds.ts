import { runSql } from '../../bench/rig/accounts.ts'

/**
 * Writes by SQL, past the triggers, the holds of so many cancelled videos: each took one micro-unit of the
 * credit and one of what the account paid without a date, and gave both back. The videos are in no table.
 */
export async function seedHolds(
  adminUrl: string,
  { creditId, count }: { creditId: string; count: number },
): Promise<void> {
  const id = (kind: string, number: string) =>
    `'${kind}_00' || lpad((${number})::text, 8, '0') || '${creditId}'`
  await runSql(adminUrl, [
    'set session_replication_role = replica',
    'set synchronous_commit = off',
    `insert into transfer (id, idempotency_key, kind, video_id)
      select ${id('txfr', '2 * v.n + k.n')}, k.kind || ':' || ${id('video', 'v.n')}, k.kind,
        ${id('video', 'v.n')}
      from generate_series(1, ${count}) v(n)
      cross join (values (0, 'hold'), (1, 'settle')) k(n, kind)
      order by v.n, k.n`,
    `insert into entry (transfer_id, ledger_account_id, amount)
      select ${id('txfr', '2 * v.n + k.n')}, case p.part when 1 then c.id when 2 then u.id else h.id end,
        k.sign * case p.part when 3 then -2 else 1 end
      from ledger_account c
      join ledger_account u
        on u.account_id = c.account_id and u.kind = 'customer' and u.credit_id is null
      join ledger_account h on h.account_id = c.account_id and h.kind = 'hold'
      cross join generate_series(1, ${count}) v(n)
      cross join (values (0, -1), (1, 1)) k(n, sign)
      cross join generate_series(1, 3) p(part)
      where c.credit_id = '${creditId}'
      order by v.n, k.n, p.part`,
    'analyze transfer, entry',
  ])
}
