import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import { pause } from '@sluice/shared/pause'
import type { RunnerReply, RunnerRequest, ServedModel } from '@sluice/shared/runner-protocol'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Logger } from 'pino'
import type { Attempt, AttemptOutcome, StopRequest } from '../attempt/attempt.ts'
import { failureOfEnd, isOfRunner } from '../attempt/failure.ts'
import type { RunnerCommand } from '../config.ts'
import { type RunnerEnd, type RunnerEvents, RunnerProcess } from '../runner/runner-process.ts'
import { StepPace } from '../runner/step-pace.ts'
import { type Followers, StateMachine } from '../state-machine.ts'
import { SlotRest } from './slot-rest.ts'

export type ReadyReply = Extract<RunnerReply, { type: 'ready' }>

export interface SlotSettings {
  runner: RunnerCommand
  /** The first is loaded when a runner starts. */
  models: readonly [ServedModel, ...ServedModel[]]
  stallMs: number
}

/** What a slot needs of its runner. */
export type Runner = Pick<
  RunnerProcess,
  'pid' | 'ended' | 'send' | 'expectReplies' | 'allowSilence' | 'kill' | 'shutDown'
>

export interface SlotDeps {
  settings: SlotSettings
  log: Logger
  /** The slot's readiness, or whether it wants a job, may have changed. */
  onChange(): void
  /** Default: a process. */
  openRunner?: (events: RunnerEvents) => Runner
}

type SlotState = 'loading' | 'ready' | 'spoilt' | 'down' | 'closed'

const SLOT_FOLLOWERS: Followers<SlotState> = {
  /** The runner was started and has not said `ready`. */
  loading: ['ready', 'down', 'closed'],
  ready: ['spoilt', 'down', 'closed'],
  /**
   * Out of memory, the device is lost, or what the runner drives is away: the runner ends once what it still
   * encodes is out.
   */
  spoilt: ['down', 'closed'],
  /** The runner has ended; the next one starts after a pause. */
  down: ['loading', 'closed'],
  closed: [],
}

/** After these a runner is started again. */
const SPOILING: readonly string[] = ['out_of_memory', 'device_lost', 'engine_away']
const SHUT_DOWN: RunnerEnd = { why: 'shut_down', message: 'the worker shuts down' }
const RESTART_FIRST_MS = 200
const RESTART_MS_MAX = 30_000

/** Later than any time that is known, and still a number that can be compared with itself. */
const FAR_MS = Number.MAX_SAFE_INTEGER

/**
 * One list of devices, and the runner that keeps a model warm on it: started again whenever it ends. At most
 * one attempt is on the device (`running`), one waits for it (`waiting`), and others are encoded by the
 * runner beside them. The slot calls its attempts; they answer with events and know of no slot.
 */
export class Slot {
  readonly index: number
  readonly #devices: string
  readonly #deps: SlotDeps
  readonly #settings: SlotSettings
  readonly #log: Logger
  readonly #state: StateMachine<SlotState>
  readonly #pace = new StepPace()
  readonly #rest: SlotRest
  #runner: Runner | undefined
  #readyReply: ReadyReply | undefined
  /** The failure that spoilt the runner. */
  #spoiltBy: string | undefined
  #running: Attempt | undefined
  #waiting: Attempt | undefined
  readonly #encoding = new Map<string, Attempt>()
  /** The model of the newest request, which the runner has in its device or is loading. */
  #loadedModel: string
  #restartTimer: NodeJS.Timeout | undefined
  #stopTimer: NodeJS.Timeout | undefined
  #restarts = 0

  constructor(index: number, devices: string, deps: SlotDeps) {
    this.index = index
    this.#devices = devices
    this.#deps = deps
    this.#settings = deps.settings
    this.#loadedModel = deps.settings.models[0].id
    this.#log = deps.log.child({ slot: index })
    this.#state = new StateMachine<SlotState>(`slot ${index}`, SLOT_FOLLOWERS, 'down')
    this.#rest = new SlotRest({ onChange: () => this.#onRest(), log: this.#log })
    this.#startRunner()
  }

  /** What the runner said when its model was loaded; undefined while there is no ready runner. */
  get readiness(): ReadyReply | undefined {
    return this.#state.is('ready') ? this.#readyReply : undefined
  }

  /** Whether it is a slot that videos may be sent to. */
  get isOffered(): boolean {
    return this.#state.is('ready') && !this.#rest.isLong
  }

  /** True when a job taken now would start at once or within NEARLY_FREE_MS. */
  get wantsJob(): boolean {
    if (!this.#state.is('ready') || this.#rest.isResting || this.#waiting !== undefined) return false
    if (this.#running === undefined) return true
    const { remainingMs } = this.#running
    return remainingMs !== null && remainingMs <= NEARLY_FREE_MS
  }

  /** The model whose videos start without a switch of weights. */
  get loadedModel(): string {
    return this.#loadedModel
  }

  /** True when a video of this model starts without a switch of weights, or its model is unknown. */
  hasLoaded(model: string | undefined): boolean {
    return model === undefined || this.#loadedModel === model
  }

  get isIdle(): boolean {
    return this.#running === undefined
  }

  /** Milliseconds until its device is free of what runs there; very many = not known. */
  get freeInMs(): number {
    return this.#running === undefined ? 0 : (this.#running.remainingMs ?? FAR_MS)
  }

  get hasRoom(): boolean {
    return !this.#state.is('closed') && this.#waiting === undefined
  }

  /**
   * Keeps the waiting place for this attempt: it starts once it is ready and the device is free, or is handed
   * back when the slot rests for long.
   */
  reserve(attempt: Attempt): void {
    this.#waiting = attempt
    attempt.on('ready', () => this.#startNext())
    attempt.on('stop', (request) => this.#stop(attempt, request))
    attempt.on('over', (outcome) => this.#onOver(attempt, outcome))
    if (this.#rest.isLong) attempt.yield()
    this.#deps.onChange()
  }

  /** What waits for the device goes back to the gate: here it would only fail. */
  handBackWaiting(): void {
    this.#waiting?.yield()
  }

  /** Ends the runner for good, with a few seconds' notice. One that the kernel keeps is not waited for. */
  async shutDown(): Promise<void> {
    this.#close()
    const { shutDownMs, killMs } = TIME_LIMITS.runner
    await Promise.race([this.#runner?.shutDown(SHUT_DOWN), pause(shutDownMs + killMs)])
  }

  /** Ends the runner for good, at once. One that the kernel keeps is not waited for. */
  async kill(): Promise<void> {
    this.#close()
    this.#runner?.kill(SHUT_DOWN)
    await Promise.race([this.#runner?.ended, pause(TIME_LIMITS.runner.killMs)])
  }

  #close(): void {
    if (!this.#state.is('closed')) this.#state.enter('closed')
    this.#rest.stop()
    clearTimeout(this.#restartTimer)
    clearTimeout(this.#stopTimer)
  }

  /** Throws what `spawn` throws. */
  #startRunner(): void {
    const events: RunnerEvents = {
      onReply: (reply) => this.#onReply(reply),
      onEnd: (end) => this.#onRunnerEnd(end),
    }
    const runner = this.#deps.openRunner?.(events) ?? this.#openProcess(events)
    const [first] = this.#settings.models
    this.#runner = runner
    this.#state.enter('loading')
    this.#log.info({ pid: runner.pid, devices: this.#devices, model: first.id }, 'runner started')
    runner.expectReplies()
    this.#loadedModel = first.id
    runner.send(loadRequest(this.#settings.models))
  }

  #openProcess(events: RunnerEvents): Runner {
    const { runner, stallMs } = this.#settings
    return new RunnerProcess({ runner, devices: this.#devices, stallMs, log: this.#log }, events)
  }

  #onReply(reply: RunnerReply): void {
    if (reply.type === 'ready') {
      this.#onReady(reply)
    } else if (reply.type === 'failed' && reply.id === undefined) {
      this.#onLoadFailed(reply)
    } else if (reply.id !== undefined) {
      const attempt = this.#encoding.get(reply.id)
      if (reply.id === this.#running?.runnerId) this.#onRunningReply(this.#running, reply)
      else if (attempt !== undefined) this.#onEncodingReply(attempt, reply)
    }
  }

  /** What the runner names beyond what it was asked for is not offered: nobody checked its weights. */
  #onReady(reply: ReadyReply): void {
    const asked = this.#settings.models.map(({ id }) => id)
    const missing = asked.filter((id) => !reply.models.includes(id))
    if (missing.length > 0) {
      const message = `it serves ${reply.models.join(', ')}; asked was ${missing.join(', ')} too`
      this.#onLoadFailed({ code: 'model_missing', message })
      return
    }
    if (this.#state.is('loading')) this.#state.enter('ready')
    this.#readyReply = { ...reply, models: asked }
    const { device, devices, models, uses } = reply
    this.#log.info({ device, devices, models, uses }, 'runner ready')
    this.#startNext()
    this.#watchForSilence()
    this.#deps.onChange()
  }

  #onLoadFailed({ code, message }: Pick<Extract<RunnerReply, { type: 'failed' }>, 'code' | 'message'>): void {
    this.#runner?.kill({ why: 'restarted', message: `the runner cannot load: ${code}: ${message}` })
  }

  #onRunningReply(attempt: Attempt, reply: RunnerReply): void {
    switch (reply.type) {
      case 'progress':
        this.#pace.progressed(reply.phase, reply.step)
        attempt.onReply(reply)
        if (this.wantsJob) this.#deps.onChange()
        return
      case 'released':
        this.#pace.released()
        this.#encoding.set(attempt.runnerId, attempt)
        this.#startNextThenDeliver(attempt, reply)
        this.#restarts = 0
        return
      case 'finished':
      case 'cancelled':
      case 'yielded':
      case 'failed':
        this.#noteSpoilt(reply)
        this.#startNextThenDeliver(attempt, reply)
        attempt.runnerIsDone()
        this.#restartIfSpoilt()
        return
      default:
        attempt.onReply(reply)
    }
  }

  /**
   * The device is free. The next video goes to the runner first, in this very turn of the event loop, and
   * only then does the attempt that left the device learn of it: what it does next, such as writing its last
   * report to disk with fsync, would otherwise be time in which the device lies idle. `bench/slot-gap.ts`
   * measures it.
   */
  #startNextThenDeliver(attempt: Attempt, reply: RunnerReply): void {
    this.#leaveDevice()
    this.#startNext()
    this.#watchForSilence()
    this.#deps.onChange()
    attempt.onReply(reply)
  }

  #leaveDevice(): void {
    clearTimeout(this.#stopTimer)
    this.#stopTimer = undefined
    this.#running = undefined
  }

  #onEncodingReply(attempt: Attempt, reply: RunnerReply): void {
    switch (reply.type) {
      case 'progress':
        attempt.onReply(reply)
        return
      case 'finished':
      case 'failed':
        this.#encoding.delete(attempt.runnerId)
        this.#noteSpoilt(reply)
        this.#watchForSilence()
        attempt.onReply(reply)
        attempt.runnerIsDone()
        this.#restartIfSpoilt()
        return
      case 'ready':
      case 'started':
      case 'checkpoint':
      case 'released':
      case 'cancelled':
      case 'yielded':
        // Only what is on the device says these.
        return
      default:
        reply satisfies never
    }
  }

  #startNext(): void {
    const next = this.#waiting
    if (!this.#state.is('ready') || this.#running !== undefined || next?.state !== 'waiting') return
    this.#waiting = undefined
    this.#running = next
    const request = next.start(this.#pace)
    this.#loadedModel = request.request.model
    this.#pace.started(request.request)
    this.#runner?.send(request)
    this.#watchForSilence()
    this.#deps.onChange()
  }

  #stop(attempt: Attempt, request: StopRequest): void {
    if (this.#running !== attempt) return
    this.#runner?.send({ type: request, id: attempt.runnerId })
    // A runner that steps on regardless is as good as stalled.
    const { stallMs } = this.#settings
    this.#stopTimer ??= setTimeout(() => {
      this.#runner?.kill({ why: 'stalled', message: `the runner did not ${request} within ${stallMs} ms` })
    }, stallMs)
  }

  #onOver(attempt: Attempt, outcome: AttemptOutcome | undefined): void {
    if (this.#waiting === attempt) this.#waiting = undefined
    if (outcome?.type === 'finished') this.#rest.succeeded()
    else if (outcome !== undefined && isOfRunner(outcome))
      this.#rest.failed(attempt.video, `${outcome.code}: ${outcome.message}`)
    this.#deps.onChange()
  }

  #onRest(): void {
    if (this.#rest.isLong) this.handBackWaiting()
    this.#deps.onChange()
  }

  /** An idle runner may be silent; one that loads, generates or encodes may not. */
  #watchForSilence(): void {
    const isBusy = this.#running !== undefined || this.#encoding.size > 0
    if (isBusy || this.#state.is('loading')) this.#runner?.expectReplies()
    else this.#runner?.allowSilence()
  }

  #noteSpoilt(reply: RunnerReply): void {
    if (reply.type !== 'failed' || !SPOILING.includes(reply.code)) return
    if (!this.#state.is('ready')) return
    this.#state.enter('spoilt')
    this.#spoiltBy = reply.code
  }

  #restartIfSpoilt(): void {
    if (!this.#state.is('spoilt') || this.#running !== undefined || this.#encoding.size > 0) return
    this.#deps.onChange()
    this.#runner
      ?.shutDown({ why: 'restarted', message: `the runner reported ${this.#spoiltBy}` })
      .catch((error: unknown) => this.#log.error({ err: error }, 'a spoilt runner cannot be ended'))
  }

  #onRunnerEnd(end: RunnerEnd): void {
    const hadLoaded = this.#state.is('ready', 'spoilt')
    const isDeliberate = this.#state.is('spoilt') && end.why === 'restarted'
    if (!this.#state.is('closed')) this.#state.enter('down')
    const lost = [...this.#encoding.values(), ...(this.#running === undefined ? [] : [this.#running])]
    this.#runner = undefined
    this.#encoding.clear()
    this.#leaveDevice()
    const level = end.why === 'shut_down' || isDeliberate ? 'info' : 'error'
    this.#log[level]({ end: end.why, attemptsLost: lost.length }, end.message)
    for (const attempt of lost) {
      if (end.why === 'shut_down') attempt.abandon()
      else attempt.fail(failureOfEnd(end))
      attempt.runnerIsDone()
    }
    // A runner that cannot even load will not serve the video that waits for it.
    if (!hadLoaded) this.#waiting?.yield()
    this.#deps.onChange()
    // An engine that turned work down may well answer the next runner's first question.
    const isAtOnce = isDeliberate && this.#spoiltBy !== 'engine_away'
    if (!this.#state.is('closed')) this.#restartAfter(isAtOnce ? 0 : this.#nextPauseMs())
  }

  #nextPauseMs(): number {
    const pauseMs = Math.min(RESTART_FIRST_MS * 3 ** this.#restarts, RESTART_MS_MAX)
    this.#restarts += 1
    return pauseMs
  }

  #restartAfter(pauseMs: number): void {
    this.#restartTimer = setTimeout(() => {
      try {
        this.#startRunner()
      } catch (error) {
        this.#log.error({ err: error }, 'the runner cannot be started; trying again')
        this.#restartAfter(this.#nextPauseMs())
      }
    }, pauseMs)
  }
}

/** One model with the runner's own weights is asked for by name only: a runner need not know of several. */
function loadRequest(models: SlotSettings['models']): RunnerRequest {
  const [first] = models
  const isPlain = models.length === 1 && Object.keys(first).length === 1
  return isPlain ? { type: 'load', model: first.id } : { type: 'load', model: first.id, models: [...models] }
}
