import { newClaim } from '@sluice/shared/ids'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expireCredits } from '../../apps/api/src/accounts/expire-credits.ts'
import { transaction } from '../../apps/api/src/db/database.ts'
import { SluiceError } from '../../apps/api/src/errors.ts'
import type { AccountKey } from '../../apps/api/src/keys/authenticate.ts'
import { readOwned } from '../../apps/api/src/ledger/accounts.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { grantTrial, refundUnused, topUp } from '../../apps/api/src/ledger/fund.ts'
import { readPurse } from '../../apps/api/src/ledger/purse.ts'
import type { Services } from '../../apps/api/src/services.ts'
import { cancelVideo } from '../../apps/api/src/videos/cancel.ts'
import { deleteVideo } from '../../apps/api/src/videos/delete.ts'
import { gateDatabase } from '../support/gated-database.ts'
import { type HandDrivenService, type Start, startHandDrivenService } from '../support/hand-driven-service.ts'

const STEPS = 10
/** Of the worker that the service is driven with. */
const SLOTS = 3
const STEPS_DONE = 4
const TRIAL_MICROS = 1_000_000n
const RUNS = Number(process.env.SLUICE_TEST_RUNS ?? 40)

let service: HandDrivenService

beforeAll(async () => {
  service = await startHandDrivenService()
})
afterAll(() => service?.[Symbol.asyncDispose]())

/** A video that runs and whose files are stored, and what can happen to it at the same time. */
interface Scene {
  context: Services
  key: AccountKey
  start: Start
  result: Awaited<ReturnType<HandDrivenService['upload']>>
  costMicros: bigint
}

const CALLS = {
  finish: ({ context, start, result }: Scene) => service.report(start, { type: 'finished', result }, context),
  'finish again': ({ context, start, result }: Scene) =>
    service.report(start, { type: 'finished', result }, context),
  progress: ({ context, start }: Scene) =>
    service.report(start, { type: 'progress', phase: 'denoise', step: 9, remaining_ms: 0 }, context),
  fail: ({ context, start }: Scene) =>
    service.report(
      start,
      { type: 'failed', code: 'internal', message: 'by hand', retryable: true, step: 0 },
      context,
    ),
  yield: ({ context, start }: Scene) => service.report(start, { type: 'yielded', step: 5 }, context),
  cancel: ({ context, key, start }: Scene) => cancelVideo(context, key.accountId, start.videoId),
  delete: ({ context, key, start }: Scene) =>
    deleteVideo(context, key.accountId, start.videoId, { isRepeat: false }),
  recover: ({ context }: Scene) => service.recover(context),
  'recover in another process': ({ context }: Scene) => service.recover(context),
  heartbeat: ({ context, start }: Scene) =>
    service.heartbeat([{ video: start.videoId, fence: start.fence, claim: start.claim }], context),
} as const
type CallName = keyof typeof CALLS
const CALL_NAMES = Object.keys(CALLS) as CallName[]

async function prepare(): Promise<Omit<Scene, 'context'>> {
  const key = await service.account(TRIAL_MICROS)
  const video = await service.submit(key, STEPS)
  expect(await service.gatePass()).toBe(1)
  const { fence } = await service.readVideo(video.id)
  const start = { videoId: video.id, fence, claim: newClaim() }
  await service.report(start, { type: 'taken', slot: 0 })
  await service.report(start, { type: 'progress', phase: 'denoise', step: STEPS_DONE, remaining_ms: null })
  const result = await service.upload(start, STEPS)
  return { key, start, result, costMicros: video.hold_micros }
}

/** Ends what is left, so that the next run has the slots for itself. */
async function clear(): Promise<void> {
  await service.owner.query({
    text: `update video set execution_expires_at = now() - interval '1 hour' where ended_at is null`,
  })
  await service.recover()
}

test('however the statements of reports, cancels, deletes and recoveries interleave, a video ends once and is charged once', async () => {
  const names = fc.shuffledSubarray(CALL_NAMES, { minLength: 2, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), names, fc.boolean(), async (scheduler, chosen, isSilent) => {
      const scene = await prepare()
      if (isSilent) await service.silence()
      const gated = gateDatabase(service.context.db, scheduler)
      const context = { ...service.context, db: gated.db }
      const outcomes = await gated.run(chosen.map((name) => CALLS[name]({ ...scene, context })))
      for (const outcome of outcomes) {
        // Whoever came too late hears it in words: conflict, unknown, no longer a video.
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(SluiceError)
      }
      await judge(scene, chosen)
      await clear()
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
}, 120_000)

async function judge(
  { key, start, costMicros }: Scene | Omit<Scene, 'context'>,
  chosen: readonly CallName[],
) {
  const video = await service.readVideo(start.videoId)
  const { rows: attempts } = await service.owner.query<{ outcome: string | null; count: string }>({
    text: 'select outcome, count(*)::text as count from attempt where video_id = $1 group by outcome',
    values: [start.videoId],
  })
  const count = (outcome: string | null) =>
    Number(attempts.find((row) => row.outcome === outcome)?.count ?? 0)
  const { rows: transfers } = await service.owner.query<{ kind: string }>({
    text: 'select kind from transfer where video_id = $1 order by id',
    values: [start.videoId],
  })
  const isEnded = video.ended_at !== null
  expect(transfers.map(({ kind }) => kind)).toEqual(isEnded ? ['hold', 'settle'] : ['hold'])
  expect(count('completed')).toBeLessThanOrEqual(1)
  expect(count(null)).toBe(video.status === 'running' || video.status === 'dispatched' ? 1 : 0)
  // Somebody wanted it to end, so it has ended, or is told to at the next word of its worker.
  const finishes = chosen.includes('finish') || chosen.includes('finish again')
  const loses = chosen.includes('fail') || chosen.includes('yield')
  if (finishes && !loses) expect(isEnded).toBe(true)
  if (video.status === 'completed') expect(video.charged_micros).toBe(costMicros)
  if (video.status === 'failed') expect(video.charged_micros).toBe(0n)
  if (video.status === 'cancelled')
    expect(video.charged_steps).toBeLessThanOrEqual((video.cancel_step ?? 0) + 1)
  const { trial } = await readOwned(service.context.db, key.accountId, 'USD')
  expect(trial.balanceMicros).toBe(TRIAL_MICROS - (isEnded ? (video.charged_micros ?? 0n) : costMicros))
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
}

test('however the statements of takers, a cancel, a delete and a recovery interleave, one start at most has the attempt', async () => {
  const others = fc.shuffledSubarray(['cancel', 'delete', 'recover'] as const)
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), others, async (scheduler, chosen) => {
      const key = await service.account(TRIAL_MICROS)
      const { id: videoId } = await service.submit(key, STEPS)
      expect(await service.gatePass()).toBe(1)
      const { fence } = await service.readVideo(videoId)
      if (chosen.includes('recover')) await service.silence()
      const gated = gateDatabase(service.context.db, scheduler)
      const context = { ...service.context, db: gated.db }
      const starts = Array.from({ length: 3 }, () => ({ videoId, fence, claim: newClaim() }))
      const [first, second, third] = starts as [Start, Start, Start]
      const takers = [
        service.report(first, { type: 'taken', slot: 0 }, context),
        service.report(second, { type: 'taken', slot: 0 }, context),
        // Applied alone.
        service.report(third, { type: 'checkpoint', step: 1, bytes: 1 }, context),
      ]
      const calls = {
        cancel: () => cancelVideo(context, key.accountId, videoId),
        delete: () => deleteVideo(context, key.accountId, videoId, { isRepeat: false }),
        recover: () => service.recover(context),
      }
      await gated.run([...takers, ...chosen.map((name) => calls[name]())])
      const verdicts = (await Promise.all(takers)).map(({ verdict }) => verdict)
      const had = starts.filter((_, index) => verdicts[index] !== 'stop').map(({ claim }) => claim)
      const { rows } = await service.owner.query<{ claim: string | null }>({
        text: 'select claim from attempt where video_id = $1 and fence = $2',
        values: [videoId, fence],
      })
      expect(had).toEqual(rows[0]?.claim === null ? [] : [rows[0]?.claim])
      await clear()
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
}, 120_000)

test('however the statements of gate passes, cancels and deletes interleave, a video is dispatched once and no slot twice', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, isCancelled) => {
      // Two of them, since one alone is kept to the pool's slots by its own cap as well.
      const [key, other] = [await service.account(TRIAL_MICROS), await service.account(TRIAL_MICROS)]
      const ids: string[] = []
      for (const owner of [key, other, key, other, key, other]) {
        ids.push((await service.submit(owner, STEPS)).id)
      }
      const gated = gateDatabase(service.context.internal.db, scheduler)
      const [first = '', , second = ''] = ids
      const [passed] = await gated.run([
        service.gatePass(gated.db),
        ...(isCancelled
          ? [
              cancelVideo({ ...service.context, db: gated.db }, key.accountId, first),
              deleteVideo({ ...service.context, db: gated.db }, key.accountId, second, { isRepeat: false }),
            ]
          : []),
      ])
      expect(passed?.status).toBe('fulfilled')
      await service.gatePass()
      const videos = await Promise.all(ids.map((id) => service.readVideo(id)))
      const dispatched = videos.filter(({ status }) => status === 'dispatched')
      expect(dispatched.length).toBe(SLOTS)
      const { rows } = await service.owner.query<{ open: string }>({
        text: 'select count(*)::text as open from attempt where ended_at is null and video_id = any ($1)',
        values: [ids],
      })
      expect(Number(rows[0]?.open)).toBe(dispatched.length)
      expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
      await clear()
    }),
    { numRuns: Math.ceil(RUNS / 2), endOnFailure: true },
  )
}, 120_000)

test('however the statements of submissions of one call interleave, there is one video; and money for one makes one of two calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (scheduler, calls) => {
      const priced = await service.submit(await service.account(TRIAL_MICROS), STEPS)
      const key = await service.account(priced.hold_micros)
      const gated = gateDatabase(service.context.db, scheduler)
      const submit = (idempotencyKey: string) =>
        service.submit(key, STEPS, idempotencyKey, { ...service.context, db: gated.db })
      const same = Array.from({ length: calls }, () => submit('one'))
      const outcomes = await gated.run([...same, submit('another')])
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(SluiceError)
      }
      const ids = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [idOf(outcome.value)] : []))
      expect(new Set(ids).size).toBe(1)
      const videos = await service.readVideos(key.accountId)
      expect([...videos.keys()]).toEqual([...new Set(ids)])
      expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
      await clear()
    }),
    { numRuns: Math.ceil(RUNS / 4), endOnFailure: true },
  )
}, 120_000)

test('however the statements of a refund, top-ups, a submission, a cancel and the expiry of credit interleave, every micro-unit is somewhere', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const key = await service.account(TRIAL_MICROS)
      const { accountId } = key
      const system = service.context.systemAccounts
      const dated = {
        accountId,
        currency: 'USD',
        amountMicros: 3_000n,
        expiresAt: new Date(Date.now() + 86_400_000),
      }
      await transaction(service.context.db, (db) =>
        grantTrial(db, { ...dated, idempotencyKey: `lapses ${key.id}` }, system),
      )
      const video = await service.submit(key, STEPS)
      // It has lapsed; a part of it is held.
      await service.owner.query({
        text: `update credit set expires_at = now() - interval '1 second' where account_id = $1`,
        values: [accountId],
      })
      const gated = gateDatabase(service.context.db, scheduler)
      const context = { ...service.context, db: gated.db }
      const funding = { accountId, currency: 'USD', amountMicros: 5n }
      await gated.run([
        expireCredits(context, accountId),
        expireCredits(context, accountId),
        transaction(gated.db, (db) => topUp(db, { ...dated, idempotencyKey: `later ${key.id}` }, system)),
        transaction(gated.db, (db) => topUp(db, { ...funding, idempotencyKey: `up ${key.id}` }, system)),
        transaction(gated.db, (db) => topUp(db, { ...funding, idempotencyKey: `up ${key.id}` }, system)),
        transaction(gated.db, (db) =>
          refundUnused(db, { ...funding, idempotencyKey: `back ${key.id}` }, system),
        ),
        service.submit(key, STEPS, undefined, context),
        cancelVideo(context, accountId, video.id),
      ])
      await expireCredits(service.context, accountId)
      expect((await readPurse(service.context.db, accountId, 'USD')).lapsed).toEqual([])
      expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
      await clear()
    }),
    { numRuns: Math.ceil(RUNS / 4), endOnFailure: true },
  )
}, 120_000)

function idOf(value: unknown): string {
  return (value as { id: string }).id
}
