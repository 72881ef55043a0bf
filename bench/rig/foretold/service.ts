import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { PaceRow } from '@sluice/gate/pace'
import { type PublicVideo, videoSchema } from '@sluice/shared/public-video'
import pg from 'pg'
import { eventually } from '../../../test/support/eventually.ts'
import { createBenchAccounts, runSql } from '../accounts.ts'
import { type ApiProcess, startApiProcess } from '../api-process.ts'
import { Connection } from '../connection.ts'
import { startBenchPostgres } from '../postgres.ts'
import { startWorkerProcess, type WorkerProcess } from '../worker-process.ts'
import { ACCOUNTS, type Asked, SHAPES, WORKERS } from './load.ts'

/** What the first answer said of a video, and what became of it. */
export interface MadeVideo extends Omit<Asked, 'shape'> {
  eta: PublicVideo['eta_seconds']
  /** From its submission until it was stored. */
  tookSeconds: number
  /** From its submission until its device first began. */
  waitedMs: number
  /** Since the first submission. */
  endedAtMs: number
  runs: { pool: string; ms: number }[]
  /** What the answer was made of; null when it is not in the sample. */
  expected: { pool: string; startMs: number; freeMs: number; storedMs: number } | null
}

export interface ForetoldService {
  /** Has every pool make every shape. */
  warmUp(): Promise<void>
  /** What it has learned of its pools. */
  paces(): Promise<PaceRow[]>
  /** Submits at the moments that are asked for, and returns when all have ended. */
  run(asked: readonly Asked[]): Promise<MadeVideo[]>
  /** The lines of /metrics that say how right forecasts were lately. */
  etaMetrics(): Promise<string[]>
  stop(): Promise<void>
}

const WARM_ROUNDS = 12
const RUN_MS_MAX = 200_000
/** The service counts once a second, and a reading is kept for as long. */
const COUNTED_MS = 2_500

/** Starts the API, and a worker of each pace; its accounts have the weights and limits of the load. */
export async function startForetoldService(): Promise<ForetoldService> {
  const postgres = await startBenchPostgres()
  const { databaseUrl, queueUrl } = postgres.server
  const dataDir = join(postgres.dir, 'api')
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const accounts = await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS.length)
  const settings = ACCOUNTS.map(
    ({ weight, runningMax }, index) =>
      `update account set weight = ${weight}, running_max = ${runningMax} where id = '${accounts[index]?.accountId}'`,
  )
  await runSql(databaseUrl, settings)
  const workers: WorkerProcess[] = []
  for (const { pool, stepMs, slots } of WORKERS) {
    const env = {
      SLUICE_POOL: pool,
      SLUICE_ANIMATIC_STEP_MS: String(stepMs),
      SLUICE_SLOTS: Array.from({ length: slots }, (_, slot) => slot).join(';'),
    }
    workers.push(await startWorkerProcess(api, { queueUrl, dataDir: join(postgres.dir, pool), env }))
  }
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  await eventually(
    () => slotsOf(db),
    (slots) => slots === 6,
    30_000,
  )
  const load = new Load(
    api,
    db,
    accounts.map(({ key }) => key),
  )
  return {
    warmUp: () => load.warmUp(),
    paces: async () => (await db.query<PaceRow>('select * from pace')).rows,
    run: (asked) => load.run(asked),
    etaMetrics: () => readEtaMetrics(api),
    stop: async () => {
      load.close()
      await db.end()
      for (const worker of workers) await worker.stop()
      await api.stop()
      await postgres.stop()
    },
  }
}

async function slotsOf(db: pg.Client): Promise<number> {
  const { rows } = await db.query<{ slots: number }>(
    'select coalesce(sum(slots), 0)::int as slots from living_worker(10000)',
  )
  return rows[0]?.slots ?? 0
}

async function readEtaMetrics(api: ApiProcess): Promise<string[]> {
  await delay(COUNTED_MS)
  const answer = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  const text = await answer.text()
  return text
    .split('\n')
    .filter((line) => /^sluice_eta_(error_ratio|within_p90_ratio|mean_seconds)/.test(line))
}

/** Submits and waits. */
class Load {
  readonly #connection: Connection
  readonly #db: pg.Client
  readonly #keys: readonly string[]

  constructor({ url }: ApiProcess, db: pg.Client, keys: readonly string[]) {
    this.#connection = new Connection(url)
    this.#db = db
    this.#keys = keys
  }

  async warmUp(): Promise<void> {
    for (let round = 0; round < WARM_ROUNDS; round += 1) {
      for (const [place, shape] of SHAPES.entries()) {
        const account = (round + place) % this.#keys.length
        await this.#submit({ account, tier: 'standard', shape })
      }
    }
    await this.#untilAllEnded()
  }

  async run(asked: readonly Asked[]): Promise<MadeVideo[]> {
    const began = performance.now()
    const answers = new Map<string, { video: Asked; eta: PublicVideo['eta_seconds'] }>()
    const submit = async (video: Asked) => {
      const { id, eta_seconds: eta } = await this.#submit(video)
      answers.set(id, { video, eta })
    }
    const submissions: Promise<void>[] = []
    for (const video of asked) {
      await delay(Math.max(0, began + video.atMs - performance.now()))
      submissions.push(submit(video))
    }
    await Promise.all(submissions)
    await this.#untilAllEnded()
    const rows = await readEnded(this.#db, [...answers.keys()])
    return rows.map(({ id, ...row }) => {
      const { video, eta } = answers.get(id) ?? {}
      if (video === undefined || eta === undefined) throw new RangeError(`nobody asked for ${id}`)
      const { atMs, account, tier } = video
      return { atMs, account, tier, eta, ...row }
    })
  }

  close(): void {
    this.#connection.close()
  }

  async #submit({ account, tier, shape }: Pick<Asked, 'account' | 'tier' | 'shape'>): Promise<PublicVideo> {
    const body = { prompt: 'a paper boat', service_tier: tier, ...shape }
    return videoSchema.parse(await this.#connection.post('/v1/videos', this.#keys[account] ?? '', body))
  }

  async #untilAllEnded(): Promise<void> {
    const left = async () =>
      (await this.#db.query<{ left: string }>('select count(*) as left from video where ended_at is null'))
        .rows
    await eventually(left, (rows) => rows[0]?.left === '0', RUN_MS_MAX)
  }
}

type EndedRow = Pick<MadeVideo, 'tookSeconds' | 'waitedMs' | 'endedAtMs' | 'runs' | 'expected'> & {
  id: string
}

async function readEnded(db: pg.Client, ids: readonly string[]): Promise<EndedRow[]> {
  const { rows } = await db.query<EndedRow>(
    `select v.id,
      extract(epoch from v.ended_at - v.created_at)::float8 as "tookSeconds",
      extract(epoch from a.began_at - v.created_at)::float8 * 1000 as "waitedMs",
      extract(epoch from v.ended_at - min(v.created_at) over ())::float8 * 1000 as "endedAtMs",
      a.runs,
      case when g.stored_ms is not null then json_build_object('pool', g.pool,
        'startMs', g.start_ms, 'freeMs', g.free_ms, 'storedMs', g.stored_ms) end as expected
    from video v
    cross join lateral (
      select min(started_at) as began_at,
        json_agg(json_build_object('pool', pool,
          'ms', extract(epoch from coalesce(released_at, ended_at) - started_at) * 1000)) as runs
      from attempt where video_id = v.id and started_at is not null) a
    left join eta_given g on g.video_id = v.id
    where v.id = any ($1) and v.status = 'completed'
    order by v.id`,
    [ids],
  )
  return rows
}
