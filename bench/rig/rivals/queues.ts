import { Queue, Worker } from 'bullmq'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { PgBoss } from 'pg-boss'

/** Queues in Node that people put behind a service of their own. */
export type RivalQueue = 'bullmq' | 'pg-boss' | 'graphile-worker'

/** What a job is for: `accept` is never worked off. */
export const PURPOSES = ['accept', 'start', 'work'] as const
export type Purpose = (typeof PURPOSES)[number]

export interface RivalProducer {
  /** Stores the job as durably as the queue does; returns its id. */
  add(purpose: Purpose, job: object): Promise<string>
}

/** As each one's documentation opens it; a queue in PostgreSQL migrates its tables first. */
export async function openProducer(queue: RivalQueue, url: string): Promise<RivalProducer> {
  if (queue === 'bullmq') {
    const queues = new Map(
      PURPOSES.map((purpose) => [purpose, new Queue(purpose, { connection: { url } })] as const),
    )
    return { add: async (purpose, job) => (await queues.get(purpose)?.add('video', job))?.id ?? '' }
  }
  if (queue === 'pg-boss') {
    const boss = await openBoss(url)
    return { add: async (purpose, job) => (await boss.send(purpose, job)) ?? '' }
  }
  const utils = await makeWorkerUtils({ connectionString: url, maxPoolSize: 10 })
  await utils.migrate()
  return { add: async (purpose, job) => (await utils.addJob(purpose, job)).id }
}

/**
 * One worker that takes a job at a time, woken by whatever the queue has for that rather than by polling.
 * Returns what ends it.
 */
export async function openWorker(
  queue: RivalQueue,
  url: string,
  work: { purpose: Purpose; handle: () => Promise<void> },
): Promise<() => Promise<void>> {
  const { purpose, handle } = work
  if (queue === 'bullmq') {
    const worker = new Worker(purpose, handle, { connection: { url } })
    await worker.waitUntilReady()
    return () => worker.close()
  }
  if (queue === 'pg-boss') {
    const boss = await openBoss(url)
    // A full batch is followed by the next one at once; what is in it is done one by one.
    const polling = { batchSize: 5, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }
    await boss.work(purpose, polling, async (jobs) => {
      for (const _job of jobs) await handle()
    })
    return () => boss.stop({ graceful: true })
  }
  const runner = await run({
    connectionString: url,
    concurrency: 1,
    noHandleSignals: true,
    taskList: { [purpose]: handle },
    logger: new Logger(() => () => {}),
    crontab: '',
  })
  return () => runner.stop()
}

async function openBoss(url: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, useListenNotify: true })
  boss.on('error', (error) => process.stderr.write(`pg-boss: ${error}\n`))
  await boss.start()
  // NOTIFY makes commits wait for each other, so the queue that only accepts goes without.
  for (const purpose of PURPOSES) await boss.createQueue(purpose, { notify: purpose !== 'accept' })
  return boss
}
