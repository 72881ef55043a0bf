import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { ModelWeights, RunnerReply, RunnerRequest } from '@sluice/shared/runner-protocol'
import type { Logger } from 'pino'
import type { Attempt, AttemptSlot } from './attempt.ts'
import type { RunnerCommand } from './config.ts'
import { type RunnerEnd, RunnerProcess } from './runner-process.ts'
import { StepPace } from './step-pace.ts'

export type ReadyReply = Extract<RunnerReply, { type: 'ready' }>

export interface SlotSettings {
  runner: RunnerCommand
  /** The first is loaded when a runner starts. */
  models: readonly [ModelWeights, ...ModelWeights[]]
  stallMs: number
}

export interface SlotEvents {
  /** Its readiness, or whether it wants a job, may have changed. */
  onChange(): void
}

const RESTART_FIRST_MS = 200
const RESTART_MS_MAX = 30_000

/**
 * One list of devices, and the runner that keeps a model warm on it: started again whenever it ends.
 * At most one attempt is on the device (`running`), one waits for it (`waiting`), and others are encoded by the runner beside them.
 */
export class Slot implements AttemptSlot {
  readonly index: number
  readonly #devices: string
  readonly #settings: SlotSettings
  readonly #log: Logger
  readonly #events: SlotEvents
  #runner: RunnerProcess | undefined
  #readyReply: ReadyReply | undefined
  #running: Attempt | undefined
  #waiting: Attempt | undefined
  #waitingIsReady = false
  readonly #encoding = new Map<string, Attempt>()
  readonly #pace = new StepPace()
  /** What the runner has in its device, as far as it was told. */
  #loadedModel: string | undefined
  #restartTimer: NodeJS.Timeout | undefined
  #stopTimer: NodeJS.Timeout | undefined
  #restarts = 0
  /** Set after out_of_memory or device_lost: the runner ends once the videos it still encodes are out. */
  #spoilt: string | undefined
  #closed = false

  constructor(index: number, devices: string, settings: SlotSettings, log: Logger, events: SlotEvents) {
    this.index = index
    this.#devices = devices
    this.#settings = settings
    this.#log = log.child({ slot: index })
    this.#events = events
    this.#startRunner()
  }

  /** What the runner said when its model was loaded; undefined while there is no ready runner. */
  get readiness(): ReadyReply | undefined {
    return this.#spoilt === undefined ? this.#readyReply : undefined
  }

  /** True when a job taken now would start at once or within NEARLY_FREE_MS. */
  get wants(): boolean {
    if (this.#closed || this.readiness === undefined || this.#waiting !== undefined) return false
    if (this.#running === undefined) return true
    const remainingMs = this.remainingMs()
    return remainingMs !== null && remainingMs <= NEARLY_FREE_MS
  }

  /** True when a video of this model starts without a switch of weights; of an unknown model nobody can say. */
  hasLoaded(model: string | undefined): boolean {
    return model === undefined || this.#loadedModel === model
  }

  get idle(): boolean {
    return this.#running === undefined
  }

  get hasRoom(): boolean {
    return !this.#closed && this.#waiting === undefined
  }

  /** Reserves the place behind the running attempt for one that is being taken. */
  reserve(attempt: Attempt): void {
    this.#waiting = attempt
    this.#waitingIsReady = false
    this.#events.onChange()
  }

  ready(attempt: Attempt): void {
    if (this.#waiting !== attempt) return
    this.#waitingIsReady = true
    this.#startNext()
  }

  over(attempt: Attempt): void {
    if (this.#waiting === attempt) this.#waiting = undefined
    this.#events.onChange()
  }

  tell(attempt: Attempt, request: 'cancel' | 'yield'): void {
    if (this.#running !== attempt) return
    this.#runner?.send({ type: request, id: attempt.runnerId })
    // A runner that steps on without heeding is as good as stalled.
    this.#stopTimer ??= setTimeout(() => {
      this.#runner?.kill({
        why: 'stalled',
        message: `the runner did not ${request} within ${this.#settings.stallMs} ms`,
      })
    }, this.#settings.stallMs)
  }

  remainingMs(): number | null {
    const stepsLeft = this.#running?.stepsLeft
    return stepsLeft === undefined || stepsLeft === null ? null : this.#pace.remainingMs(stepsLeft)
  }

  /** Ends the runner for good: with a few seconds' notice, or at once. */
  async close(atOnce: boolean): Promise<void> {
    this.#closed = true
    clearTimeout(this.#restartTimer)
    clearTimeout(this.#stopTimer)
    const end: RunnerEnd = { why: 'shut_down', message: 'the worker shuts down' }
    if (atOnce) this.#runner?.kill(end)
    else await this.#runner?.shutDown(end)
    await this.#runner?.ended
  }

  #startRunner(): void {
    if (this.#closed) return
    const runner = new RunnerProcess(
      this.#settings.runner,
      this.#devices,
      this.#settings.stallMs,
      this.#log,
      { onReply: (reply) => this.#onReply(reply), onEnd: (end) => this.#onRunnerEnd(end) },
    )
    this.#runner = runner
    this.#log.info(
      { pid: runner.pid, devices: this.#devices, model: this.#settings.models[0].id },
      'runner started',
    )
    runner.expectReplies(true)
    this.#loadedModel = this.#settings.models[0].id
    runner.send(loadRequest(this.#settings.models))
  }

  #onReply(reply: RunnerReply): void {
    if (reply.type === 'ready') {
      this.#onReady(reply)
      return
    }
    if (reply.type === 'failed' && reply.id === undefined) {
      this.#log.error(
        { code: reply.code, models: this.#settings.models.map(({ id }) => id) },
        `the runner cannot load: ${reply.message}`,
      )
      this.#runner?.kill({ why: 'restarted', message: `the runner failed: ${reply.code}: ${reply.message}` })
      return
    }
    if (reply.id === undefined) return
    if (reply.id === this.#running?.runnerId) this.#onRunningReply(this.#running, reply)
    else this.#onEncodingReply(reply.id, reply)
  }

  #onReady(reply: ReadyReply): void {
    this.#readyReply = reply
    this.#log.info({ device: reply.device, devices: reply.devices, models: reply.models }, 'runner ready')
    this.#startNext()
    this.#events.onChange()
  }

  #onRunningReply(attempt: Attempt, reply: RunnerReply): void {
    switch (reply.type) {
      case 'progress':
        this.#pace.progressed(reply.phase, reply.step)
        attempt.onReply(reply)
        if (this.wants) this.#events.onChange()
        return
      case 'released':
        this.#pace.released()
        this.#encoding.set(attempt.runnerId, attempt)
        this.#freeDevice()
        attempt.onReply(reply)
        this.#restarts = 0
        return
      case 'finished':
      case 'cancelled':
      case 'yielded':
      case 'failed': {
        const spoils =
          reply.type === 'failed' && (reply.code === 'out_of_memory' || reply.code === 'device_lost')
        if (spoils) this.#spoilt = `the runner reported ${reply.code}`
        this.#freeDevice()
        attempt.onReply(reply)
        attempt.runnerIsDone()
        this.#restartWhenSpoilt()
        return
      }
      default:
        attempt.onReply(reply)
    }
  }

  #onEncodingReply(id: string, reply: RunnerReply): void {
    const attempt = this.#encoding.get(id)
    if (attempt === undefined) return
    if (reply.type === 'finished' || reply.type === 'failed') {
      this.#encoding.delete(id)
      if (reply.type === 'failed' && (reply.code === 'out_of_memory' || reply.code === 'device_lost'))
        this.#spoilt = `the runner reported ${reply.code}`
      this.#watch()
    }
    // `settle` reads the files while the attempt lives, so its folder goes only when both are done with it.
    if (reply.type === 'finished' || reply.type === 'failed' || reply.type === 'progress')
      attempt.onReply(reply)
    if (reply.type === 'finished' || reply.type === 'failed') {
      attempt.runnerIsDone()
      this.#restartWhenSpoilt()
    }
  }

  /** The next video starts in the same turn of the event loop in which the device became free. */
  #freeDevice(): void {
    clearTimeout(this.#stopTimer)
    this.#stopTimer = undefined
    this.#running = undefined
    this.#startNext()
    this.#watch()
    this.#events.onChange()
  }

  #startNext(): void {
    const next = this.#waiting
    if (
      this.#running !== undefined ||
      this.readiness === undefined ||
      next === undefined ||
      !this.#waitingIsReady ||
      this.#closed
    ) {
      this.#watch()
      return
    }
    this.#waiting = undefined
    this.#running = next
    const request = next.start()
    this.#loadedModel = request.request.model
    this.#pace.started(request.request)
    this.#runner?.send(request)
    this.#watch()
    this.#events.onChange()
  }

  /** An idle runner may be silent; one that loads, generates or encodes may not. */
  #watch(): void {
    this.#runner?.expectReplies(
      this.#readyReply === undefined || this.#running !== undefined || this.#encoding.size > 0,
    )
  }

  #restartWhenSpoilt(): void {
    if (this.#spoilt === undefined || this.#running !== undefined || this.#encoding.size > 0) return
    const reason = this.#spoilt
    this.#readyReply = undefined
    this.#events.onChange()
    void this.#runner?.shutDown({ why: 'restarted', message: reason })
  }

  #onRunnerEnd(end: RunnerEnd): void {
    const wasReady = this.#readyReply !== undefined || this.#spoilt !== undefined
    const deliberate = this.#spoilt !== undefined && end.why === 'restarted'
    this.#runner = undefined
    this.#readyReply = undefined
    this.#spoilt = undefined
    clearTimeout(this.#stopTimer)
    this.#stopTimer = undefined
    const lost = [...this.#encoding.values(), ...(this.#running === undefined ? [] : [this.#running])]
    this.#encoding.clear()
    this.#running = undefined
    this.#log[end.why === 'shut_down' || deliberate ? 'info' : 'error'](
      { why: end.why, lost: lost.length },
      end.message,
    )
    for (const attempt of lost) {
      if (end.why === 'shut_down') attempt.abandon()
      else
        attempt.fail(
          end.why === 'stalled' ? 'stalled' : end.why === 'broke_protocol' ? 'internal' : 'runner_exited',
          end.message,
          true,
        )
      attempt.runnerIsDone()
    }
    // A runner that cannot even load will not serve the video that waits for it.
    if (!wasReady) this.#waiting?.yield()
    this.#events.onChange()
    if (this.#closed) return
    const waitMs = deliberate ? 0 : Math.min(RESTART_FIRST_MS * 3 ** this.#restarts, RESTART_MS_MAX)
    if (!deliberate) this.#restarts += 1
    this.#restartTimer = setTimeout(() => this.#startRunner(), waitMs)
  }
}

/** One model with the runner's own weights is asked for as it always was, so that a runner of somebody's own need not know of several. */
function loadRequest(models: SlotSettings['models']): RunnerRequest {
  const [first] = models
  const isPlain = models.length === 1 && first.checkpoint === undefined && first.lora === undefined
  return isPlain ? { type: 'load', model: first.id } : { type: 'load', model: first.id, models: [...models] }
}
