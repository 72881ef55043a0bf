import { setTimeout as delay } from 'node:timers/promises'
import { type AttemptConsumer, openAttemptConsumer, type TakenJob } from '@sluice/shared/attempt-consumer'
import { type Heartbeat, type HeartbeatAnswer, POOL_PATTERN } from '@sluice/shared/attempt-contract'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import { Semaphore } from '@sluice/shared/semaphore'
import type { Logger } from 'pino'
import { Attempt, type AttemptSurroundings } from './attempt.ts'
import type { WorkerConfig } from './config.ts'
import { Heartbeats } from './heartbeat.ts'
import { ReportClient } from './report-client.ts'
import { type ReadyReply, Slot } from './slot.ts'
import { Spool } from './spool.ts'
import { takeWorkerFolder } from './worker-folder.ts'

/** What a test may put in the place of a real part. */
export interface WorkerOverrides {
  openConsumer?: (
    settings: QueueSettings,
    pool: string,
    worker: string,
    onError: (error: Error) => void,
  ) => AttemptConsumer
}

export interface RunningWorker {
  worker: string
  /** Takes nothing new, hands back or finishes what it has within the grace, and resolves when all is closed. Safe to repeat. */
  shutDown(): Promise<void>
  /** Ends the runners at once; for a process about to exit. */
  killRunners(): void
}

const SETTLING_MAX = 4
/** A video that will be through within half the grace, less this for its upload, is finished rather than handed back. */
const FINISH_RESERVE_MS = 2_000
const LAST_WORD_MS = 1_000
/** A job in hand waits this long for a slot whose runner is being started again: well within the queue's lock and the lease. */
const ROOM_WAIT_MS = 15_000
const FETCH_CHECK_MS = 500

/** Builds everything once and starts it. Throws what `takeWorkerFolder` throws. */
export function startWorker(
  config: WorkerConfig,
  log: Logger,
  overrides: WorkerOverrides = {},
): RunningWorker {
  const folder = takeWorkerFolder(config.dataDir)
  const client = new ReportClient(config.apiUrl, config.token, log)
  const spool = new Spool(folder.spoolDir, client, log)
  const around: AttemptSurroundings = {
    worker: folder.worker,
    workDir: folder.workDir,
    client,
    spool,
    log,
    settling: new Semaphore(SETTLING_MAX),
  }
  const attempts = new Set<Attempt>()
  let lastReady: ReadyReply | undefined
  let pool = config.pool
  let consumer: AttemptConsumer | undefined
  let draining = false
  let wakeFetch: () => void = () => {}
  let readySlots = 0

  const settings = { runner: config.runner, models: config.models, stallMs: config.stallMs }
  const slots: Slot[] = []
  for (const [index, devices] of config.slots.entries())
    slots.push(new Slot(index, devices, settings, log, { onChange: slotChanged }))
  const heartbeats = new Heartbeats(client, composeHeartbeat, heedHeartbeat, log)

  function slotChanged(): void {
    wakeFetch()
    const ready = slots.map((slot) => slot.readiness).filter((reply) => reply !== undefined)
    lastReady = ready[0] ?? lastReady
    if (pool === null && lastReady !== undefined) pool = poolOf(lastReady)
    if (ready.length !== readySlots) {
      readySlots = ready.length
      void heartbeats.beat()
    }
  }

  function composeHeartbeat(): Heartbeat | null {
    if (pool === null) return null
    return {
      worker: folder.worker,
      boot: folder.boot,
      pool,
      slots: readySlots,
      device: lastReady?.device ?? 'unknown',
      devices_per_slot: lastReady?.devices ?? 1,
      vram_bytes: lastReady?.vram_bytes ?? 0,
      models: lastReady?.models ?? [],
      modes: lastReady?.modes ?? ['t2v', 'i2v'],
      limits: { sequence_devices: 1, ...(lastReady?.limits ?? { frames_max: 1, pixels_max: 1 }) },
      cost_per_hour_micros: config.costPerHourMicros,
      draining,
      attempts: [
        ...[...attempts].map((attempt) => attempt.held).filter((held) => held !== null),
        ...spool.held(),
      ],
    }
  }

  function heedHeartbeat(answers: HeartbeatAnswer['attempts']): void {
    wakeFetch()
    for (const { video, fence, claim, verdict } of answers) {
      for (const attempt of attempts) {
        if (attempt.video === video && attempt.fence === fence && attempt.claim === claim)
          attempt.heed(verdict)
      }
    }
  }

  function takeJob(slot: Slot, taken: TakenJob): void {
    const attempt = new Attempt(taken.job, slot, around)
    attempts.add(attempt)
    void attempt.whenOver().then(() => attempts.delete(attempt))
    slot.reserve(attempt)
    log.info({ video: attempt.video, fence: attempt.fence, slot: slot.index }, 'attempt taken off the queue')
    attempt.take(taken.done).catch((error: unknown) => {
      log.error({ err: error, video: attempt.video }, 'an attempt broke before its start')
      attempt.fail('internal', error instanceof Error ? error.message : String(error), true)
    })
    if (draining) attempt.yield()
  }

  /** Until something changed that may let a slot take a job, or a moment has passed. */
  function slotsChanged(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FETCH_CHECK_MS)
      wakeFetch = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** The slot for a job in hand, waited for when its runner died meanwhile; undefined when none has room in time. */
  async function slotForJob({ model }: TakenJob['job']): Promise<Slot | undefined> {
    const deadline = Date.now() + ROOM_WAIT_MS
    for (;;) {
      const slot =
        slots.find((candidate) => candidate.wants && candidate.idle && candidate.hasLoaded(model)) ??
        slots.find((candidate) => candidate.wants && candidate.idle) ??
        slots.find((candidate) => candidate.wants && candidate.hasLoaded(model)) ??
        slots.find((candidate) => candidate.wants) ??
        slots.find((candidate) => candidate.hasRoom)
      if (slot !== undefined || draining || Date.now() > deadline) return slot
      await slotsChanged()
    }
  }

  /** Runs while some slot wants a job; a job no slot has room for in time is left to the reconciler. */
  async function fetchJobs(): Promise<void> {
    while (!draining) {
      // The first beat of a new process ends what its predecessor held; a job taken before it would be ended with it.
      if (pool === null || !heartbeats.answered || !slots.some((slot) => slot.wants)) {
        await slotsChanged()
        continue
      }
      consumer ??= openConsumer(pool)
      const taken = await consumer.next()
      if (taken === null) continue
      const slot = await slotForJob(taken.job)
      if (slot === undefined) {
        log.warn({ video: taken.job.video }, 'no slot has room for a job; it is left to the reconciler')
        continue
      }
      takeJob(slot, taken)
    }
  }

  function openConsumer(named: string): AttemptConsumer {
    const onError = (error: Error) => log.warn({ err: error }, 'the queue')
    return (
      overrides.openConsumer?.(config.queue, named, folder.worker, onError) ??
      openAttemptConsumer(config.queue, named, folder.worker, { onError })
    )
  }

  /** Lets a video that is nearly through finish; the others stop at their next step with a checkpoint. */
  function drain(attempt: Attempt): void {
    const remainingMs = attempt.state === 'running' ? attempt.slot.remainingMs() : null
    if (remainingMs !== null && remainingMs + FINISH_RESERVE_MS <= config.graceMs / 2) return
    attempt.yield()
  }

  async function shutDown(): Promise<void> {
    draining = true
    wakeFetch()
    log.info({ attempts: attempts.size }, 'draining: nothing new is taken')
    void heartbeats.beat()
    const queueClosed = consumer?.close()
    for (const attempt of attempts) drain(attempt)
    const graceOver = delay(config.graceMs, 'over' as const)
    const finished = (async () => {
      await fetching
      while (attempts.size > 0) await Promise.all([...attempts].map((attempt) => attempt.whenOver()))
      await Promise.all([...slots.map((slot) => slot.close(false)), spool.drained()])
    })()
    if ((await Promise.race([finished, graceOver])) === 'over') {
      log.warn({ attempts: attempts.size }, 'the grace is over: handing back what is left')
      for (const attempt of [...attempts]) attempt.abandon()
      await Promise.all(slots.map((slot) => slot.close(true)))
      await Promise.race([spool.drained(), delay(LAST_WORD_MS)])
    }
    await Promise.race([heartbeats.beat(), delay(LAST_WORD_MS)])
    heartbeats.stop()
    spool.stop()
    await queueClosed
    folder.release()
    log.info('shut down')
  }

  spool.resendAll()
  heartbeats.start()
  const fetching = fetchJobs().catch((error: unknown) => log.fatal({ err: error }, 'the fetch loop broke'))
  let shuttingDown: Promise<void> | undefined
  return {
    worker: folder.worker,
    shutDown() {
      shuttingDown ??= shutDown()
      return shuttingDown
    },
    killRunners() {
      for (const slot of slots) void slot.close(true)
    },
  }
}

/** `H100`, 8 devices -> `h100x8`. */
function poolOf(ready: ReadyReply): string {
  const name = `${ready.device}x${ready.devices}`.toLowerCase().replaceAll(/[^a-z0-9_-]+/g, '-')
  return POOL_PATTERN.test(name) ? name : 'default'
}
