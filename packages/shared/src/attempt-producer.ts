import { type AttemptJob, attemptJobSchema, jobId, queueName } from './attempt-contract.ts'
import {
  type AttemptQueue,
  connectQueue,
  JOB_OPTIONS,
  type OwnQueueSettings,
  QueueUnavailableError,
} from './queue-backend.ts'
import { within } from './time-limit.ts'
import { TIME_LIMITS } from './time-limits.ts'

/** Puts attempts into their queues. */
export interface AttemptProducer {
  /**
   * Delivers the attempt. Adding the same (video, fence) twice while the first waits is one job. Throws
   * within about 2 s when the queue cannot be reached.
   */
  add(job: AttemptJob): Promise<void>
  /**
   * Delivers several attempts with one write for each queue. As `add`; when it throws, any of them may have
   * been delivered.
   */
  addAll(jobs: readonly AttemptJob[]): Promise<void>
  /** Throws when the queue does not answer within about 2 s. */
  ping(): Promise<void>
  close(): Promise<void>
}

/** A producer for all queues, each opened at its first job. */
export function openAttemptProducer(
  settings: OwnQueueSettings,
  onError: (error: Error) => void = () => {},
): AttemptProducer {
  const connection = connectQueue(settings, { role: 'producer' }, onError)
  const commandMs = settings.answerMs ?? TIME_LIMITS.queue.answerMs
  const queues = new Map<string, AttemptQueue>()

  async function readyQueue(name: string): Promise<AttemptQueue> {
    const open = queues.get(name)
    if (open !== undefined) return open
    // BullMQ remembers a failed first contact for ever: open a queue only on a server that answers, keep it
    // only if ready.
    await connection.ping()
    const queue = connection.openQueue(name)
    queue.on('error', onError)
    try {
      await within(
        commandMs,
        queue.waitUntilReady(),
        () => new QueueUnavailableError(`queue ${name} did not get ready`),
      )
    } catch (error) {
      await queue.close().catch(() => {})
      throw error
    }
    const openedMeanwhile = queues.get(name)
    if (openedMeanwhile !== undefined) {
      await queue.close()
      return openedMeanwhile
    }
    queues.set(name, queue)
    return queue
  }

  async function addTo(name: string, jobs: readonly AttemptJob[]): Promise<void> {
    const queue = await readyQueue(name)
    const adds = jobs.map((data) => ({
      name: 'attempt',
      data,
      opts: { ...JOB_OPTIONS, jobId: jobId(data.video, data.fence) },
    }))
    const [only] = adds
    // A single one goes the shorter way: one script on Redis, fewer steps on PostgreSQL.
    const added =
      only !== undefined && adds.length === 1
        ? queue.add(only.name, only.data, only.opts)
        : queue.addBulk(adds)
    await within(commandMs, added, () => new QueueUnavailableError(`queue ${name} did not answer`))
  }

  async function addAll(jobs: readonly AttemptJob[]): Promise<void> {
    const parsed = jobs.map((job) => attemptJobSchema.parse(job))
    const byQueue = Map.groupBy(parsed, ({ queue, pool }) => queueName(queue ?? pool, settings.installation))
    await Promise.all([...byQueue].map(([name, ofQueue]) => addTo(name, ofQueue)))
  }

  return {
    add: (job) => addAll([job]),
    addAll,
    ping: () => connection.ping(),
    async close() {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()))
      await connection.close()
    },
  }
}
