import { newClaim } from '@sluice/shared/ids'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AccountKey } from '../../apps/api/src/keys/authenticate.ts'
import { readOwned } from '../../apps/api/src/ledger/accounts.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { cancelVideo } from '../../apps/api/src/videos/cancel.ts'
import { deleteVideo } from '../../apps/api/src/videos/delete.ts'
import type { PromiseState, Video, VideoStatus } from '../../apps/api/src/videos/video.ts'
import { type HandDrivenService, type Start, startHandDrivenService } from '../support/hand-driven-service.ts'

/** Of the worker that the service is driven with. */
const SLOTS = 3
/** The multiplier of flex. */
const LATE_BPS = 5_000n
/** SLUICE_ATTEMPTS_MAX. */
const FAILURES_MAX = 3
/** Money for about twelve videos of ten steps. */
const TRIAL_MICROS = 12n * 10n * 48n

let service: HandDrivenService

beforeAll(async () => {
  service = await startHandDrivenService()
})
afterAll(() => service?.[Symbol.asyncDispose]())

/** What a video must be, by what was done to it: written from the rules, not from the code. */
interface ModelVideo {
  id: string
  steps: number
  status: VideoStatus
  isDeleted: boolean
  fence: number
  /** The newest attempt's, once a worker has taken it. */
  claim: string | null
  /** Steps done, as far as was reported. */
  step: number
  checkpoint: number
  /** Where the newest attempt began. */
  resumedFrom: number
  failures: number
  /** Steps known when the cancel was asked for. */
  cancelStep: number | null
  /** The newest attempt's files and result.json lie in the store. */
  isStored: boolean
  isReleased: boolean
  chargedSteps: number | null
  /** What became of its promise; null = nothing was promised. */
  promise: PromiseState | null
  /** The time it was promised by has passed. */
  isLate: boolean
  /** Earlier starts, whose workers may still speak. */
  zombies: Start[]
}

interface Model {
  videos: ModelVideo[]
  /** Tokens of a step times price times multiplier: what a step costs, in parts of a micro-unit. */
  stepCost: bigint
  /** The same of a video whose promise is missed. */
  lateStepCost: bigint
}

interface Real {
  key: AccountKey
}

const isOpen = ({ status }: ModelVideo) => ['queued', 'dispatched', 'running'].includes(status)
const inFlight = ({ status }: ModelVideo) => status === 'dispatched' || status === 'running'
const isOwned = (video: ModelVideo) => inFlight(video) && video.claim !== null
const startOf = ({ id, fence, claim }: ModelVideo): Start => ({ videoId: id, fence, claim: claim ?? '' })

function availableMicros(model: Model): bigint {
  const spent = model.videos.map((video) => chargeOf(video, model) ?? costOf(video.steps, model.stepCost))
  return TRIAL_MICROS - spent.reduce((sum, micros) => sum + micros, 0n)
}

/** What it was charged in the end; null while it goes on. */
function chargeOf({ chargedSteps, promise }: ModelVideo, model: Model): bigint | null {
  if (chargedSteps === null) return null
  return costOf(chargedSteps, promise === 'missed' ? model.lateStepCost : model.stepCost)
}

/** Rounded up once: a price is for a million tokens, a multiplier in ten thousandths. */
function costOf(steps: number, stepCost: bigint): bigint {
  const parts = BigInt(steps) * stepCost
  const unit = 1_000_000n * 10_000n
  return parts % unit === 0n ? parts / unit : parts / unit + 1n
}

/** What the worker made or failed last, whichever run it was in: a failure after another's says nothing. */
let last: { videoId: string; isFailed: boolean } | null = null

function end(video: ModelVideo, status: 'completed' | 'failed' | 'cancelled', chargedSteps: number): void {
  if (status === 'completed') last = { videoId: video.id, isFailed: false }
  leave(video)
  video.status = status
  video.chargedSteps = chargedSteps
  if (video.promise !== null) video.promise = promiseAt(video)
}

function promiseAt({ status, isLate }: ModelVideo): PromiseState {
  if (isLate || status === 'failed') return 'missed'
  return status === 'completed' ? 'kept' : 'void'
}

/** Charged are the steps done, at most those known when the cancel was asked for, plus one. */
function endCancelled(video: ModelVideo, stepsDone: number): void {
  end(video, 'cancelled', Math.min(stepsDone, (video.cancelStep ?? 0) + 1, video.steps))
}

/** Back to the gate; `raise`: the worker may still be alive. */
function requeue(video: ModelVideo, { raise }: { raise: boolean }): void {
  leave(video)
  video.status = 'queued'
  video.step = video.checkpoint
  if (raise) video.fence += 1
}

function leave(video: ModelVideo): void {
  if (video.claim !== null) video.zombies.push(startOf(video))
  video.claim = null
  video.isStored = false
  video.isReleased = false
}

/** A change to one of the videos that `fits`, and what becomes of it. */
class Act implements fc.AsyncCommand<Model, Real> {
  readonly #name: string
  readonly #pick: number
  readonly #fits: (video: ModelVideo) => boolean
  readonly #run: (video: ModelVideo, real: Real, model: Model) => Promise<void>

  constructor(
    name: string,
    pick: number,
    fits: (video: ModelVideo) => boolean,
    run: (video: ModelVideo, real: Real, model: Model) => Promise<void>,
  ) {
    this.#name = name
    this.#pick = pick
    this.#fits = fits
    this.#run = run
  }

  check({ videos }: Readonly<Model>): boolean {
    return videos.some(this.#fits)
  }

  async run(model: Model, real: Real): Promise<void> {
    const candidates = model.videos.filter(this.#fits)
    const video = candidates[this.#pick % candidates.length]
    if (video === undefined) throw new Error('nothing fits')
    await this.#run(video, real, model)
    await compare(model, real)
  }

  toString(): string {
    return `${this.#name}(${this.#pick})`
  }
}

class Submit implements fc.AsyncCommand<Model, Real> {
  readonly #steps: number

  constructor(steps: number) {
    this.#steps = steps
  }

  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    const costMicros = costOf(this.#steps, model.stepCost)
    if (costMicros > availableMicros(model)) {
      await expect(service.submit(real.key, this.#steps)).rejects.toMatchObject({
        code: 'insufficient_balance',
      })
    } else {
      const { id } = await service.submit(real.key, this.#steps)
      model.videos.push({
        id,
        steps: this.#steps,
        status: 'queued',
        isDeleted: false,
        fence: 0,
        claim: null,
        step: 0,
        checkpoint: 0,
        resumedFrom: 0,
        failures: 0,
        cancelStep: null,
        isStored: false,
        isReleased: false,
        chargedSteps: null,
        promise: null,
        isLate: false,
        zombies: [],
      })
    }
    await compare(model, real)
  }

  toString(): string {
    return `submit(${this.#steps})`
  }
}

class GatePass implements fc.AsyncCommand<Model, Real> {
  check(): boolean {
    return true
  }

  async run(model: Model, real: Real): Promise<void> {
    const occupied = model.videos.filter((video) => inFlight(video) && !video.isReleased).length
    const waiting = model.videos.filter(({ status }) => status === 'queued')
    const dispatched = await service.gatePass()
    expect(dispatched).toBe(Math.min(SLOTS - occupied, waiting.length))
    let seen = 0
    for (const video of waiting) {
      const { status, fence } = await service.readVideo(video.id)
      if (status !== 'dispatched') continue
      seen += 1
      video.status = 'dispatched'
      video.resumedFrom = video.checkpoint
      expect(fence).toBe(video.fence + 1)
      video.fence = fence
    }
    expect(seen).toBe(dispatched)
    await compare(model, real)
  }

  toString(): string {
    return 'gatePass'
  }
}

class Silence implements fc.AsyncCommand<Model, Real> {
  check({ videos }: Readonly<Model>): boolean {
    return videos.some(inFlight)
  }

  async run(model: Model, real: Real): Promise<void> {
    await service.silence()
    await service.recover()
    for (const video of model.videos.filter(inFlight)) {
      if (video.isStored && video.cancelStep === null) end(video, 'completed', video.steps)
      else if (video.isStored) endCancelled(video, video.steps)
      else if (video.cancelStep !== null) {
        // Its worker may still be alive.
        video.fence += 1
        endCancelled(video, video.step)
      } else requeue(video, { raise: true })
    }
    await compare(model, real)
  }

  toString(): string {
    return 'silence'
  }
}

const verdictFor = ({ cancelStep }: ModelVideo) => (cancelStep === null ? 'continue' : 'cancel')

async function failed(video: ModelVideo, { isRetryable }: { isRetryable: boolean }): Promise<void> {
  const code = isRetryable ? 'internal' : 'bad_input'
  const body = { type: 'failed', code, message: 'by hand', retryable: isRetryable, step: 0 } as const
  await service.report(startOf(video), body)
  const isBlamed = !(isRetryable && last?.isFailed === true && last.videoId !== video.id)
  const failures = video.failures + (isBlamed ? 1 : 0)
  if (video.cancelStep !== null) endCancelled(video, video.step)
  else if (!isRetryable) end(video, 'failed', 0)
  else {
    last = { videoId: video.id, isFailed: true }
    if (isBlamed && failures >= FAILURES_MAX) end(video, 'failed', 0)
    else {
      video.failures = failures
      requeue(video, { raise: false })
    }
  }
}

async function cancel(video: ModelVideo, { key }: Real): Promise<void> {
  const cancelled = cancelVideo(service.context, key.accountId, video.id)
  if (video.status === 'completed' || video.status === 'failed') {
    await expect(cancelled).rejects.toMatchObject({ code: 'state_conflict' })
    return
  }
  await cancelled
  markCancelled(video)
}

function markCancelled(video: ModelVideo): void {
  if (video.status === 'running') video.cancelStep ??= video.step
  else if (isOpen(video)) {
    // Its worker, if there is one, may not have heard of it yet.
    if (video.status === 'dispatched' || video.status === 'queued') video.fence += 1
    end(video, 'cancelled', 0)
  }
}

/** A worker whose attempt was given up, or has ended, changes nothing and is told to stop. */
async function speakAsZombie(video: ModelVideo, pick: number): Promise<void> {
  const start = video.zombies[pick % video.zombies.length]
  if (start === undefined) throw new Error('no zombie')
  const before = await service.readVideo(video.id)
  const bodies = [
    { type: 'started' },
    { type: 'progress', phase: 'denoise', step: video.steps, remaining_ms: 0 },
    { type: 'checkpoint', step: video.steps, bytes: 1 },
    { type: 'yielded', step: video.steps },
    { type: 'finished', result: await service.upload(start, video.steps) },
  ] as const
  for (const body of bodies) expect(await service.report(start, body)).toEqual({ verdict: 'stop' })
  expect(await service.readVideo(video.id)).toEqual(before)
}

/** Every video is what the model says, and what is left of the money is right to the last micro-unit. */
async function compare(model: Model, { key }: Real): Promise<void> {
  const rows = await service.readVideos(key.accountId)
  expect(model.videos.map(({ id }) => id).filter((id) => !rows.has(id))).toEqual([])
  for (const video of model.videos) {
    expect(shown(rows.get(video.id) as Video)).toEqual({
      status: video.status,
      fence: video.fence,
      step: video.status === 'completed' ? video.steps : video.step,
      checkpoint: video.checkpoint,
      chargedMicros: chargeOf(video, model),
      // When a miss is noted while the video goes on is not told here.
      promise: isOpen(video)
        ? expect.toBeOneOf(video.promise === null ? [null] : ['given', 'missed'])
        : video.promise,
      isDeleted: video.isDeleted,
    })
  }
  const { trial, customer } = await readOwned(service.context.db, key.accountId, 'USD')
  expect(trial.balanceMicros + customer.balanceMicros).toBe(availableMicros(model))
}

function shown(row: Video) {
  return {
    status: row.status,
    fence: row.fence,
    step: row.step,
    checkpoint: row.checkpoint_step ?? 0,
    chargedMicros: row.charged_micros,
    promise: row.promise,
    isDeleted: row.deleted_at !== null,
  }
}

/** Makes a command of a number, which chooses the video and whatever else there is to choose. */
type MakeCommand = (pick: number) => fc.AsyncCommand<Model, Real>

const act = (
  name: string,
  fits: (video: ModelVideo) => boolean,
  run: (video: ModelVideo, real: Real, pick: number) => Promise<void>,
): MakeCommand => {
  return (pick) => new Act(name, pick, fits, (video, real) => run(video, real, pick))
}

const take = act(
  'take',
  (video) => video.status === 'dispatched' && video.claim === null,
  async (video) => {
    video.claim = newClaim()
    const { verdict, assignment } = await service.report(startOf(video), { type: 'taken', slot: 0 })
    expect(verdict).toBe('continue')
    expect(assignment?.resume?.step ?? 0).toBe(video.checkpoint)
  },
)

const progress = act('progress', isOwned, async (video, _real, pick) => {
  const step = Math.min(video.steps, video.step + (pick % 4))
  const body = { type: 'progress', phase: 'denoise', step, remaining_ms: null } as const
  const { verdict } = await service.report(startOf(video), body)
  expect(verdict).toBe(verdictFor(video))
  video.status = 'running'
  video.step = Math.max(video.step, step)
})

const checkpoint = act(
  'checkpoint',
  (video) => isOwned(video) && video.step > 0,
  async (video) => {
    await service.report(startOf(video), { type: 'checkpoint', step: video.step, bytes: 10 })
    if (video.step > video.checkpoint) video.failures = 0
    video.checkpoint = Math.max(video.checkpoint, video.step)
  },
)

const release = act('released', isOwned, async (video) => {
  await service.report(startOf(video), { type: 'released' })
  video.isReleased = true
})

const store = act('store', isOwned, async (video) => {
  await service.upload(startOf(video), video.steps)
  video.isStored = true
})

const finish = act('finish', isOwned, async (video) => {
  const result = await service.upload(startOf(video), video.steps)
  await service.report(startOf(video), { type: 'finished', result })
  if (video.cancelStep === null) end(video, 'completed', video.steps)
  else endCancelled(video, video.steps)
})

const fail = act('fail', isOwned, (video) => failed(video, { isRetryable: true }))

const failForGood = act('fail for good', isOwned, (video) => failed(video, { isRetryable: false }))

const yieldIt = act('yield', isOwned, async (video) => {
  await service.report(startOf(video), { type: 'yielded', step: video.step })
  if (video.cancelStep === null) requeue(video, { raise: false })
  else endCancelled(video, video.step)
})

const promiseIt = act(
  'promise',
  (video) => isOpen(video) && video.promise === null,
  async (video) => {
    await service.owner.query({
      text: `update video set promise = 'given', deliver_by = now() + interval '1 hour',
        missed_multiplier_bps = ${LATE_BPS} where id = $1`,
      values: [video.id],
    })
    video.promise = 'given'
  },
)

const beLate = act(
  'be late',
  (video) => isOpen(video) && video.promise === 'given',
  async (video) => {
    await service.owner.query({
      text: `update video set deliver_by = created_at - interval '1 second' where id = $1`,
      values: [video.id],
    })
    video.isLate = true
  },
)

const cancelIt = act('cancel', ({ isDeleted }) => !isDeleted, cancel)

const deleteIt = act(
  'delete',
  ({ isDeleted }) => !isDeleted,
  async (video, { key }) => {
    await deleteVideo(service.context, key.accountId, video.id, { isRepeat: false })
    markCancelled(video)
    video.isDeleted = true
    // With its files goes a result that nobody has heard of yet.
    video.isStored = false
  },
)

const expire = act(
  'expire',
  (video) => isOpen(video),
  async (video) => {
    await service.owner.query({
      text: `update video set execution_expires_at = now() - interval '1 hour' where id = $1`,
      values: [video.id],
    })
    await service.recover()
    if (video.isStored && video.cancelStep === null) end(video, 'completed', video.steps)
    else if (video.isStored) endCancelled(video, video.steps)
    else {
      video.fence += 1
      end(video, 'failed', 0)
    }
  },
)

const zombie = act(
  'zombie',
  ({ zombies }) => zombies.length > 0,
  (video, _real, pick) => speakAsZombie(video, pick),
)

/** What brings videos on comes more often than what ends them, so that they get somewhere. */
const WEIGHTS: readonly [number, MakeCommand][] = [
  [4, (pick) => new Submit(1 + (pick % 20))],
  [5, () => new GatePass()],
  [10, take],
  [8, progress],
  [5, checkpoint],
  [2, release],
  [2, store],
  [3, finish],
  [2, fail],
  [1, failForGood],
  [2, yieldIt],
  [1, cancelIt],
  [3, promiseIt],
  [1, beLate],
  [1, deleteIt],
  [1, expire],
  [1, () => new Silence()],
  [3, zombie],
]
const MAKERS = WEIGHTS.flatMap(([weight, make]) => Array.from({ length: weight }, () => make))
/** Chosen among what is possible at the moment, so that each run goes through a whole life. */
const COMMANDS_PER_RUN = 60

test('whatever happens to videos in whatever order, each is what the rules say, and the money is right after each step', async () => {
  const choices = fc.array(fc.tuple(fc.nat(), fc.nat(1_000)), {
    minLength: COMMANDS_PER_RUN,
    maxLength: COMMANDS_PER_RUN,
    size: 'max',
  })
  await fc.assert(
    fc.asyncProperty(choices, (chosen) => runLife(chosen)),
    { numRuns: Number(process.env.SLUICE_TEST_RUNS ?? 12), endOnFailure: true },
  )
}, 240_000)

/** One tenant's videos, from nothing. Each choice: a command among the possible ones, and its number. */
async function runLife(choices: readonly (readonly [number, number])[]): Promise<void> {
  const key = await service.account(TRIAL_MICROS)
  const priced = await service.submit(key, 1)
  await cancelVideo(service.context, key.accountId, priced.id)
  const stepCost = priced.video_tokens * priced.price_micros_per_million * BigInt(priced.multiplier_bps)
  const lateStepCost = (stepCost * LATE_BPS) / BigInt(priced.multiplier_bps)
  const model: Model = { videos: [], stepCost, lateStepCost }
  const trace: string[] = []
  try {
    for (const [choice, pick] of choices) {
      const possible = MAKERS.map((make) => make(pick)).filter((command) => command.check(model))
      const command = possible[choice % possible.length]
      if (command === undefined) throw new Error('a submission is always possible')
      trace.push(String(command))
      await command.run(model, { key })
    }
    expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
  } catch (error) {
    throw new Error(`after ${trace.join(', ')}`, { cause: error })
  } finally {
    await service.owner.query({
      text: `update video set execution_expires_at = now() - interval '1 hour' where ended_at is null`,
    })
    await service.recover()
  }
}
