import { randomBytes } from 'node:crypto'
import { newId } from '@sluice/shared/ids'
import pg from 'pg'

/** What a submission of one account needs. */
interface Submitter {
  accountId: string
  keyId: string
  /** Ids of its ledger accounts. */
  trial: string
  hold: string
}

const GENERATION = {
  model: 'animatic',
  mode: 't2v',
  prompt: 'a paper boat',
  width: 336,
  height: 192,
  num_frames: 5,
  num_steps: 2,
}
const HOLD_MICROS = 202

/**
 * The statements of one accepted submission and nothing else, of which none counts the queue: what the same
 * server can do without a service around it.
 */
export class BareSubmissions {
  readonly #clients: pg.Client[]
  readonly #submitters: readonly Submitter[]

  private constructor(clients: pg.Client[], submitters: readonly Submitter[]) {
    this.#clients = clients
    this.#submitters = submitters
  }

  static async open(
    databaseUrl: string,
    accounts: readonly { accountId: string }[],
    connections: number,
  ): Promise<BareSubmissions> {
    const clients = Array.from(
      { length: connections },
      () => new pg.Client({ connectionString: databaseUrl }),
    )
    await Promise.all(clients.map((client) => client.connect()))
    const { rows } = await (clients[0] as pg.Client).query<Submitter>({
      text: `
        select a.id as "accountId", k.id as "keyId", t.id as trial, h.id as hold
        from account a
        join api_key k on k.account_id = a.id
        join ledger_account t on t.account_id = a.id and t.kind = 'trial'
        join ledger_account h on h.account_id = a.id and h.kind = 'hold'
        where a.id = any($1)`,
      values: [accounts.map((account) => account.accountId)],
    })
    return new BareSubmissions(clients, rows)
  }

  /** Committed transactions per second. */
  async perSecond(forMs: number): Promise<number> {
    const startedAtMs = performance.now()
    let committed = 0
    const drive = async (client: pg.Client, connection: number): Promise<void> => {
      for (let turn = connection; performance.now() - startedAtMs < forMs; turn += this.#clients.length) {
        const submitter = this.#submitters[turn % this.#submitters.length]
        if (submitter === undefined) throw new Error('no accounts')
        await submit(client, submitter)
        committed += 1
      }
    }
    await Promise.all(this.#clients.map(drive))
    return (committed * 1_000) / (performance.now() - startedAtMs)
  }

  /** One committed transaction of the first account. */
  async submitOne(): Promise<void> {
    const [client] = this.#clients
    const [submitter] = this.#submitters
    if (client === undefined || submitter === undefined) throw new Error('no accounts')
    await submit(client, submitter)
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()))
  }
}

async function submit(client: pg.Client, submitter: Submitter): Promise<void> {
  const videoId = newId('video')
  await client.query({
    name: 'key',
    text: 'select id, account_id, scopes from api_key where id = $1',
    values: [submitter.keyId],
  })
  await client.query('begin')
  await client.query({
    name: 'price',
    text: `
      select micros_per_million
      from price
      where model = $1 and resolution = $2 and currency = $3 and effective_at <= now()
      order by effective_at desc
      limit 1`,
    values: ['animatic', '256px', 'USD'],
  })
  await client.query({
    name: 'lock',
    text: `
      select id, kind, balance
      from ledger_account
      where account_id = $1 and currency = $2
      order by id
      for update`,
    values: [submitter.accountId, 'USD'],
  })
  await hold(client, submitter, videoId)
  await insertVideo(client, submitter, videoId)
  await client.query('commit')
}

async function hold(client: pg.Client, submitter: Submitter, videoId: string): Promise<void> {
  await client.query({
    name: 'hold',
    text: `
      with
        posting as (select * from unnest($4::bigint[], $5::bigint[]) as p(ledger_account_id, amount)),
        t as (
          insert into transfer (id, idempotency_key, kind, video_id)
          values ($1, $2, 'hold', $3)
          returning id
        ),
        e as (
          insert into entry (transfer_id, ledger_account_id, amount)
          select t.id, p.ledger_account_id, p.amount
          from t, posting p
        ),
        b as (
          update ledger_account a
          set balance = a.balance + p.amount
          from posting p
          where a.id = p.ledger_account_id
        )
      select id from t`,
    values: [
      newId('txfr'),
      `hold:${videoId}`,
      videoId,
      [submitter.trial, submitter.hold],
      [-HOLD_MICROS, HOLD_MICROS],
    ],
  })
}

async function insertVideo(client: pg.Client, submitter: Submitter, videoId: string): Promise<void> {
  await client.query({
    name: 'insert',
    text: `
      with active as (update account set last_submitted_at = now() where id = $2)
      insert into video (
        id, account_id, key_id,
        model, service_tier, resolution, width, height, num_frames, num_steps,
        request, request_hash,
        video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
        execution_expires_at
      )
      values (
        $1, $2, $3,
        'animatic', 'standard', '256px', 336, 192, 5, 2,
        $4, $5,
        504, 'USD', 200000, 10000, $6,
        now() + interval '1 day'
      )
      returning *`,
    values: [videoId, submitter.accountId, submitter.keyId, GENERATION, randomBytes(32), HOLD_MICROS],
  })
}
