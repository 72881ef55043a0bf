import { randomBytes } from 'node:crypto'
import { openAttemptConsumer, type TakenJob } from '@sluice/shared/attempt-consumer'
import { openAttemptProducer } from '@sluice/shared/attempt-producer'
import { migrateQueue } from '@sluice/shared/queue-backend'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../../test/support/test-database.ts'
import { readWorkerConfig } from '../config.ts'
import { JobFetcher } from './job-fetcher.ts'
import { Slots } from './slots.ts'

const SILENT = pino({ level: 'silent' })

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  await migrateQueue(database.databaseUrl)
})
afterAll(() => database.drop())

/**
 * What becomes of these jobs at a worker that nobody shares its queue with, whose one slot has animatic
 * loaded: in the order in which they were put back and taken.
 */
async function fateOf(jobs: readonly { video: string; loaded?: string }[]): Promise<string[]> {
  const settings = { backend: 'postgres' as const, url: database.databaseUrl, connectionsMax: 4 }
  const config = readWorkerConfig({
    PATH: process.env.PATH ?? '',
    SLUICE_API_URL: 'http://127.0.0.1:1',
    SLUICE_WORKER_TOKEN: 'a-token-of-32-characters-or-more-',
    SLUICE_QUEUE_URL: database.databaseUrl,
    SLUICE_POOL: `pool-${randomBytes(4).toString('hex')}`,
  })
  const slots = new Slots(config, SILENT, () => {})
  onTestFinished(() => slots.kill())
  await expect.poll(() => slots.wantJob, { timeout: 30_000 }).toBe(true)
  const { pool, queue } = slots
  if (pool === null || queue === null) throw new Error('a slot that wants a job has said what it serves')
  const producer = openAttemptProducer(settings)
  onTestFinished(() => producer.close())
  await producer.addAll(jobs.map((job) => ({ fence: 1, pool, queue, model: 'animatic', ...job })))

  const fate: string[] = []
  const acknowledged: Promise<void>[] = []
  const allTaken = Promise.withResolvers<void>()
  const fetcher = new JobFetcher({
    slots,
    mayFetch: () => true,
    installation: () => undefined,
    openConsumer: (name, onReach) => {
      const consumer = openAttemptConsumer(settings, name, 'worker_test', { onReach })
      const noted = (job: TakenJob | null) =>
        job && { ...job, putBack: () => job.putBack().then(() => void fate.push(`left ${job.job.video}`)) }
      return {
        next: () => consumer.next().then(noted),
        nextThatWaits: () => consumer.nextThatWaits().then(noted),
        close: () => consumer.close(),
      }
    },
    onReach: () => {},
    takeJob: (_, { job, done }) => {
      fate.push(`taken ${job.video}`)
      if (acknowledged.push(done()) === jobs.length) allTaken.resolve()
    },
    log: SILENT,
  })
  fetcher.start()
  await allTaken.promise
  await Promise.all(acknowledged)
  const stopped = fetcher.stop()
  await Promise.all([stopped.fetched, stopped.closed])
  return fate
}

test('a job that was chosen for a slot with another model loaded is left to the others three times, and then taken', async () => {
  expect(await fateOf([{ video: 'video_other', loaded: 'clay' }])).toEqual([
    ...Array(3).fill('left video_other'),
    'taken video_other',
  ])
})

test('a job that was chosen for a slot here, or for any, is taken at once, past one that waits before it for others', async () => {
  const fate = await fateOf([
    { video: 'video_other', loaded: 'clay' },
    { video: 'video_ours', loaded: 'animatic' },
    { video: 'video_any' },
  ])
  expect(fate.slice(0, 2)).toEqual(['left video_other', 'taken video_ours'])
  expect(fate.filter((each) => each.endsWith('any'))).toEqual(['taken video_any'])
})
