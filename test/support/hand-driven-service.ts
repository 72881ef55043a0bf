import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AttemptResult, OwnedAttempt, ReportAnswer, ReportBody } from '@sluice/shared/attempt-contract'
import { UPLOAD_CONTENT_TYPES } from '@sluice/shared/attempt-contract'
import { migrateQueue } from '@sluice/shared/queue-backend'
import pg from 'pg'
import { setUpInstallation } from '../../apps/api/src/accounts/first-start.ts'
import { openAccountWithKey } from '../../apps/api/src/accounts/open-account.ts'
import { applyHeartbeat } from '../../apps/api/src/attempts/apply-heartbeat.ts'
import { recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import { ReportGroups } from '../../apps/api/src/attempts/report-groups.ts'
import { createServices } from '../../apps/api/src/compose.ts'
import { readConfig } from '../../apps/api/src/config/config.ts'
import type { Context } from '../../apps/api/src/context.ts'
import type { Database } from '../../apps/api/src/db/database.ts'
import { migrateDatabase } from '../../apps/api/src/db/migrate.ts'
import { dispatchPass, type PassParts } from '../../apps/api/src/gate/dispatch-pass.ts'
import { FlexWaits } from '../../apps/api/src/gate/flex-waits.ts'
import { KnownFleet } from '../../apps/api/src/gate/known-fleet.ts'
import { NewsBox } from '../../apps/api/src/gate/news.ts'
import { PutOffTimes } from '../../apps/api/src/gate/put-off-times.ts'
import { QueueHeads } from '../../apps/api/src/gate/queue-heads.ts'
import { type AccountKey, authenticate, requireAccountKey } from '../../apps/api/src/keys/authenticate.ts'
import type { Services } from '../../apps/api/src/services.ts'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { openSubmissionGroups, submitVideo } from '../../apps/api/src/submissions/submit.ts'
import { attemptPrefix, OUTPUT_FILES, type Video } from '../../apps/api/src/videos/video.ts'
import { createTestDatabase } from './test-database.ts'
import { createTestRedis, testBackend } from './test-redis.ts'

const WORKER = 'worker_by_hand'
const POOL = 'by-hand'
const SLOTS = 3
/** Longer than any test: only `silence` makes an attempt silent. */
const LEASE_MS = 600_000

/** One start of an attempt. */
export interface Start {
  videoId: string
  fence: number
  claim: string
}

/**
 * The API's parts on a real database, queue and store, without its loops and without HTTP: a test moves gate,
 * recovery and time by hand, one call at a time or all at once.
 */
export interface HandDrivenService extends AsyncDisposable {
  context: Services
  /** The database as its owner, past what the API may do: for time that passes. */
  owner: Database
  databaseUrl: string
  account(trialMicros: bigint): Promise<AccountKey>
  /** With a context that is not the service's own, as another process does. */
  submit(key: AccountKey, steps: number, idempotencyKey?: string, context?: Services): Promise<Video>
  /** Tells the API that the worker lives, and what it owns. */
  heartbeat(
    attempts?: readonly OwnedAttempt[],
    context?: Context,
    more?: { worker?: string; pool?: string },
  ): Promise<void>
  /** One pass of the gate. Returns how many videos it dispatched. */
  gatePass(db?: Database): Promise<number>
  /** What passes of one leader work with that knows nothing yet. */
  gateParts(db?: Database): PassParts
  report(start: Start, body: ReportBody, context?: Context): Promise<ReportAnswer>
  /** Puts an attempt's files and its result.json into the store, and returns the result to report. */
  upload(start: Start, steps: number): Promise<AttemptResult>
  /** Every open attempt was last heard of longer than a lease ago, and the API was there all the time. */
  silence(): Promise<void>
  /** One round of the reconciler. A queue that left something untaken is trusted again at once. */
  recover(context?: Context): Promise<void>
  readVideo(id: string): Promise<Video>
  /** All of an account's, by id. */
  readVideos(accountId: string): Promise<ReadonlyMap<string, Video>>
}

export async function startHandDrivenService(): Promise<HandDrivenService> {
  const database = await createTestDatabase()
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-by-hand-'))
  const redis = testBackend() === 'redis' ? { REDIS_URL: await createTestRedis() } : {}
  const read = readConfig({
    PORT: '0',
    SLUICE_DATABASE_URL: database.databaseUrl,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_LOG: 'silent',
    ...redis,
  })
  // Tests come one after the other, and their accounts would stand in each other's way.
  const config = { ...read, accountSharePercent: 100, timings: { ...read.timings, leaseMs: LEASE_MS } }
  await migrateDatabase(config.database.url)
  if (config.queue.backend === 'postgres') await migrateQueue(config.database.url)
  const services = await createServices(config)
  await setUpInstallation(services, 'http://127.0.0.1')
  const owner = new pg.Pool({ connectionString: database.adminUrl, max: 2 })
  const { internal } = services
  const workerKey = await owner.query<{ id: string }>(`select id from api_key where 'worker' = any (scopes)`)
  const keyId = workerKey.rows[0]?.id ?? ''
  const service: HandDrivenService = {
    context: services,
    owner,
    databaseUrl: database.databaseUrl,
    account: async (trialMicros) => {
      const { key } = await openAccountWithKey(services, { name: 'by hand', trialMicros })
      return requireAccountKey(await authenticate(services.db, key), 'videos:write')
    },
    submit: (key, steps, idempotencyKey, context = services) => {
      const submissionGroups =
        context === services ? services.submissionGroups : openSubmissionGroups(context)
      return submitVideo({ ...context, submissionGroups }, key, {
        request: createRequestSchema.parse({ prompt: 'by hand', num_frames: 5, num_steps: steps }),
        idempotencyKey: idempotencyKey ?? null,
        tryNumber: null,
        keyHash: () => Buffer.alloc(32),
        callerGone: new AbortController().signal,
        remixedFromVideoId: null,
      })
    },
    heartbeat: async (attempts = [], context = internal, more = {}) => {
      await applyHeartbeat(context, keyId, {
        worker: WORKER,
        boot: 'b'.repeat(32),
        pool: POOL,
        slots: SLOTS,
        device: 'cpu',
        devices_per_slot: 1,
        vram_bytes: 0,
        models: ['animatic'],
        modes: ['t2v'],
        limits: { frames_max: 129, pixels_max: 589_824 },
        cost_per_hour_micros: null,
        draining: false,
        attempts: [...attempts],
        ...more,
      })
    },
    gatePass: async (db) => (await dispatchPass(service.gateParts(db))).dispatched,
    gateParts: (db = internal.db) => {
      const settings = {
        catalogue: config.catalogue,
        accountSharePercent: config.accountSharePercent,
        flexRunMsMin: config.flexRunMsMin,
        leaseMs: LEASE_MS,
        switchMs: config.switchMs,
        switchWaitMsMax: config.switchWaitMsMax,
        flexMultiplierBps: config.tierMultiplierBps.flex,
      }
      return {
        db,
        producer: internal.producer,
        settings,
        news: new NewsBox(),
        knownFleet: new KnownFleet(db, settings),
        queueHeads: new QueueHeads(db),
        putOffTimes: new PutOffTimes(),
        flexWaits: new FlexWaits(db),
        keepLeadership: async () => {},
        onError: (error) => {
          throw error
        },
      }
    },
    report: ({ videoId, fence, claim }, body, context = internal) =>
      new ReportGroups(context).apply({
        ...{ keyId, videoId, fence, report: { claim, worker: WORKER, ...body } },
      }),
    upload: (start, steps) => upload(internal, start, steps),
    silence: async () => {
      await owner.query(
        `update attempt set heartbeat_at = heartbeat_at - interval '1 hour' where ended_at is null`,
      )
      await owner.query(`update reception set since = now() - interval '1 hour', until = now(),
        api_started_at = now() - interval '2 hours'`)
    },
    recover: async (context = internal) => {
      await recoverDue(context)
      await owner.query('delete from queue_delivery')
    },
    readVideo: async (id) => {
      const { rows } = await services.db.query<Video>({
        text: 'select * from video where id = $1',
        values: [id],
      })
      if (rows[0] === undefined) throw new Error(`no video ${id}`)
      return rows[0]
    },
    readVideos: async (accountId) => {
      const { rows } = await services.db.query<Video>({
        text: 'select * from video where account_id = $1',
        values: [accountId],
      })
      return new Map(rows.map((row) => [row.id, row]))
    },
    [Symbol.asyncDispose]: async () => {
      await owner.end()
      await services.close()
      rmSync(dataDir, { recursive: true, force: true })
      await database.drop()
    },
  }
  await service.heartbeat()
  return service
}

async function upload(
  { store }: Pick<Context, 'store'>,
  { videoId, fence, claim }: Start,
  steps: number,
): Promise<AttemptResult> {
  const prefix = attemptPrefix(videoId, fence, claim)
  const put = async (name: 'video' | 'thumbnail' | 'spritesheet' | 'result', text: string) => {
    const body = Buffer.from(text)
    await store.put(`${prefix}/${OUTPUT_FILES[name]}`, body, UPLOAD_CONTENT_TYPES[name])
    return { bytes: body.length }
  }
  const result: AttemptResult = {
    video: videoId,
    fence,
    claim,
    steps_run: steps,
    steps,
    files: {
      video: await put('video', `mp4 of ${claim}`),
      thumbnail: await put('thumbnail', 'webp'),
      spritesheet: await put('spritesheet', 'jpeg'),
    },
    timings: { denoise: 1 },
    peak_vram_bytes: 0,
    seed: 1,
  }
  await put('result', JSON.stringify(result))
  return result
}
