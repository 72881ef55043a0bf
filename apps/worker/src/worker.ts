import { setTimeout as delay } from 'node:timers/promises'
import { type AttemptConsumer, openAttemptConsumer, type TakenJob } from '@sluice/shared/attempt-consumer'
import type { Heartbeat, HeartbeatAnswer } from '@sluice/shared/attempt-contract'
import { Semaphore } from '@sluice/shared/semaphore'
import type { Logger } from 'pino'
import { Attempt, type AttemptDeps, type AttemptOutcome } from './attempt/attempt.ts'
import type { WorkerConfig } from './config.ts'
import { HostHealth } from './host-health.ts'
import { Outage } from './outage.ts'
import { Heartbeats } from './reports/heartbeat.ts'
import { ReportCarrier } from './reports/report-carrier.ts'
import { ReportClient } from './reports/report-client.ts'
import { Spool } from './reports/spool.ts'
import { JobFetcher } from './slots/job-fetcher.ts'
import type { Slot } from './slots/slot.ts'
import { Slots } from './slots/slots.ts'
import { takeWorkerFolder, type WorkerFolder } from './worker-folder.ts'

export interface RunningWorker {
  /** Its id, which is another once the API has said that a live process elsewhere has the same. */
  readonly worker: string
  /** Resolves when another process took the folder while this one was frozen: it has to end at once. */
  readonly folderLost: Promise<void>
  /**
   * Takes nothing new, hands back or finishes what it has within the grace, and resolves when all is closed.
   * Safe to repeat.
   */
  shutDown(): Promise<void>
  /** Ends the runners at once; for a process about to exit. */
  killRunners(): void
}

const UPLOADING_MAX = 4
/**
 * A video that will be through within half the grace, less this for its upload, is finished rather than
 * handed back.
 */
const FINISH_RESERVE_MS = 2_000
const LAST_WORD_MS = 1_000

/** Builds everything once and starts it. Throws what `takeWorkerFolder` throws. */
export async function startWorker(config: WorkerConfig, log: Logger): Promise<RunningWorker> {
  const worker = new Worker(config, log, await takeWorkerFolder(config.dataDir))
  worker.start()
  return worker
}

class Worker implements RunningWorker {
  readonly #config: WorkerConfig
  readonly #log: Logger
  readonly #folder: WorkerFolder
  readonly #client: ReportClient
  readonly #spool: Spool
  readonly #attemptDeps: AttemptDeps
  readonly #heartbeats: Heartbeats
  readonly #slots: Slots
  readonly #fetcher: JobFetcher
  readonly #attempts = new Set<Attempt>()
  readonly #queueAway: Outage
  readonly #host: HostHealth
  readonly folderLost: Promise<void>
  #id: string
  #isQueueReached = false
  #isDraining = false
  #shuttingDown: Promise<void> | undefined

  constructor(config: WorkerConfig, log: Logger, folder: WorkerFolder) {
    this.#config = config
    this.#log = log
    this.#folder = folder
    this.#id = folder.worker
    this.folderLost = new Promise((resolve) => folder.lock.keep(resolve))
    this.#queueAway = new Outage(log, {
      away: `the queue cannot be reached, so this worker offers no slot: is ${config.queueSetting} right?`,
      back: 'the queue is reached again',
      about: { setting: config.queueSetting },
    })
    this.#host = new HostHealth({ workDir: folder.workDir, onChange: () => this.#onHostChange(), log })
    this.#client = new ReportClient(config.apiUrl, config.token, log)
    this.#spool = new Spool(folder.spoolDir, this.#client, log)
    const id = () => this.#id
    this.#attemptDeps = {
      get worker() {
        return id()
      },
      workDir: folder.workDir,
      carrier: new ReportCarrier(this.#client),
      spool: this.#spool,
      uploading: new Semaphore(UPLOADING_MAX),
      soundModels: new Set(config.models.filter(({ makes }) => makes?.sound).map(({ id }) => id)),
      log,
    }
    this.#heartbeats = new Heartbeats({
      client: this.#client,
      compose: () => this.#heartbeat(),
      onAnswer: (answers) => this.#onHeartbeatAnswer(answers),
      onIdInUse: (why) => this.#takeAnotherId(why),
      log,
    })
    this.#slots = new Slots(config, log, () => void this.#heartbeats.beat())
    this.#fetcher = new JobFetcher({
      slots: this.#slots,
      // The first beat of a new process ends what its predecessor owned; a job taken before it would be ended
      // with it.
      mayFetch: () => this.#heartbeats.isAnswered && this.#host.isWell,
      installation: () => this.#heartbeats.installation,
      openConsumer: (queue, onReach) => this.#openConsumer(queue, onReach),
      onReach: (trouble) => this.#onQueueReach(trouble),
      takeJob: (slot, taken) => this.#takeJob(slot, taken),
      log,
    })
  }

  get worker(): string {
    return this.#id
  }

  start(): void {
    this.#spool.resendAll()
    this.#heartbeats.start()
    this.#fetcher.start()
  }

  shutDown(): Promise<void> {
    this.#isDraining = true
    this.#shuttingDown ??= this.#shutDown()
    return this.#shuttingDown
  }

  killRunners(): void {
    this.#slots.kill().catch((error: unknown) => this.#log.error({ err: error }, 'a runner cannot be ended'))
  }

  #openConsumer(queue: string, onReach: (trouble: Error | null) => void): AttemptConsumer {
    const onError = (error: Error) => this.#log.warn({ err: error }, 'a job of the queue')
    const settings = { ...this.#config.queue, installation: this.#heartbeats.installation }
    return openAttemptConsumer(settings, queue, this.worker, { onError, onReach })
  }

  #onQueueReach(trouble: Error | null): void {
    this.#isQueueReached = trouble === null
    if (trouble === null) this.#queueAway.end()
    else this.#queueAway.begin(trouble)
    // oxlint-disable-next-line typescript/no-floating-promises -- `beat` never rejects
    void this.#heartbeats.beat()
  }

  /** What this process has in hand is the other one's, or has been given up: it ends without a report. */
  async #takeAnotherId(why: string): Promise<void> {
    const before = this.#id
    this.#id = await this.#folder.rename()
    this.#log.error(
      { before, worker: this.#id, attempts: this.#attempts.size, reason: why },
      'takes another id',
    )
    for (const attempt of [...this.#attempts]) attempt.onVerdict('stop')
  }

  #takeJob(slot: Slot, taken: TakenJob): void {
    const attempt = new Attempt(taken.job, slot.index, this.#attemptDeps)
    this.#attempts.add(attempt)
    attempt.once('over', (outcome) => this.#onOver(attempt, outcome))
    slot.reserve(attempt)
    this.#log.info(
      { video: attempt.video, fence: attempt.fence, slot: slot.index },
      'attempt taken off the queue',
    )
    // oxlint-disable-next-line typescript/no-floating-promises -- `take` never rejects
    void attempt.take(taken.done)
    if (this.#isDraining || !this.#host.isWell) attempt.yield()
  }

  #onOver(attempt: Attempt, outcome: AttemptOutcome | undefined): void {
    this.#attempts.delete(attempt)
    if (outcome?.type === 'finished') this.#host.succeeded()
    else if (outcome?.code === 'host_failed') this.#host.failed(outcome.message)
  }

  /** What is on a device goes on; what waits for one would only fail here. */
  #onHostChange(): void {
    if (!this.#host.isWell) this.#slots.handBackWaiting()
    this.#slots.changed.wake()
    // oxlint-disable-next-line typescript/no-floating-promises -- `beat` never rejects
    void this.#heartbeats.beat()
  }

  /** Null while the pool is unknown. */
  #heartbeat(): Heartbeat | null {
    const slots = this.#slots.describe()
    if (slots === null) return null
    const alive = [...this.#attempts].map((attempt) => attempt.owned).filter((owned) => owned !== null)
    return {
      worker: this.worker,
      boot: this.#folder.lock.boot,
      predecessors: [...this.#folder.lock.predecessors],
      ...slots,
      // A slot whose videos would not be taken is none.
      slots: this.#isQueueReached && this.#host.isWell ? slots.slots : 0,
      cost_per_hour_micros: this.#config.costPerHourMicros,
      draining: this.#isDraining,
      attempts: [...alive, ...this.#spool.owned()],
    }
  }

  #onHeartbeatAnswer(answers: HeartbeatAnswer['attempts']): void {
    this.#slots.changed.wake()
    for (const { video, fence, claim, verdict } of answers) {
      for (const attempt of this.#attempts) {
        if (attempt.video === video && attempt.fence === fence && attempt.claim === claim)
          attempt.onVerdict(verdict)
      }
    }
  }

  async #shutDown(): Promise<void> {
    const queue = this.#fetcher.stop()
    this.#log.info({ attempts: this.#attempts.size }, 'draining: nothing new is taken')
    // oxlint-disable-next-line typescript/no-floating-promises -- `beat` never rejects
    void this.#heartbeats.beat()
    for (const attempt of this.#attempts) this.#drain(attempt)
    const graceOver = delay(this.#config.graceMs, false)
    const isFinished = await Promise.race([this.#finishAll(queue.fetched), graceOver])
    if (!isFinished) await this.#handBackAll()
    await Promise.race([this.#heartbeats.beat(), delay(LAST_WORD_MS)])
    this.#heartbeats.stop()
    this.#host.stop()
    this.#spool.stop()
    await queue.closed
    await Promise.race([this.#folder.lock.leave(), delay(LAST_WORD_MS)])
    this.#log.info('shut down')
  }

  /** Lets a video that is nearly through finish; the others stop at their next step with a checkpoint. */
  #drain(attempt: Attempt): void {
    const { remainingMs } = attempt
    if (remainingMs !== null && remainingMs + FINISH_RESERVE_MS <= this.#config.graceMs / 2) return
    attempt.yield()
  }

  /**
   * Resolves to true when every attempt is over, the runners have ended and every report is answered. Never
   * rejects.
   */
  async #finishAll(fetched: Promise<void>): Promise<boolean> {
    try {
      await fetched
      while (this.#attempts.size > 0)
        await Promise.all([...this.#attempts].map((attempt) => attempt.whenOver()))
      await Promise.all([this.#slots.shutDown(), this.#spool.drained()])
      return true
    } catch (error) {
      this.#log.error({ err: error }, 'finishing broke: handing back what is left')
      return false
    }
  }

  async #handBackAll(): Promise<void> {
    this.#log.warn({ attempts: this.#attempts.size }, 'the grace is over: handing back what is left')
    for (const attempt of [...this.#attempts]) attempt.abandon()
    await this.#slots.kill()
    await Promise.race([this.#spool.drained(), delay(LAST_WORD_MS)])
  }
}
