import type { RunnerReply, RunnerRequest } from '@sluice/shared/runner-protocol'
import { pino } from 'pino'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { attemptDeps, newAttempt } from '../../../../test/support/attempt-parts.ts'
import { type StandInApi, startStandInApi } from '../../../../test/support/stand-in-api.ts'
import type { Attempt, AttemptDeps } from '../attempt/attempt.ts'
import type { RunnerEnd, RunnerEvents } from '../runner/runner-process.ts'
import { type Runner, Slot } from './slot.ts'

/** A runner in a test's hands: it replies when the test says so. */
class HandRunner implements Runner {
  readonly pid = undefined
  readonly sent: RunnerRequest[] = []
  readonly ended: Promise<void>
  /** Whether silence would end it. */
  mustReply = false
  onSend: (request: RunnerRequest) => void = () => {}
  readonly #events: RunnerEvents
  #resolveEnded: () => void = () => {}

  constructor(events: RunnerEvents) {
    this.#events = events
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
  }

  reply(reply: RunnerReply): void {
    this.#events.onReply(reply)
  }

  send(request: RunnerRequest): void {
    this.sent.push(request)
    this.onSend(request)
  }

  expectReplies(): void {
    this.mustReply = true
  }

  allowSilence(): void {
    this.mustReply = false
  }

  kill(end: RunnerEnd): void {
    this.#events.onEnd(end)
    this.#resolveEnded()
  }

  async shutDown(end: RunnerEnd): Promise<void> {
    this.kill(end)
  }
}

let api: StandInApi
let deps: AttemptDeps
let runners: HandRunner[]
let slot: Slot

beforeEach(async () => {
  api = await startStandInApi()
  onTestFinished(() => api.close())
  deps = attemptDeps(api)
  runners = []
  const openRunner = (events: RunnerEvents) => {
    const runner = new HandRunner(events)
    runners.push(runner)
    return runner
  }
  const runner = { command: ['none'], environment: {}, deviceVariable: 'DEVICES' } as const
  const settings = { runner, models: [{ id: 'animatic' }], stallMs: 60_000 } as const
  slot = new Slot(0, '0', { settings, log: pino({ level: 'silent' }), onChange: () => {}, openRunner })
  onTestFinished(() => slot.kill())
})

function getReady(models = ['animatic']): HandRunner {
  const runner = runners.at(-1)
  if (runner === undefined) throw new Error('no runner was opened')
  const limits = { frames_max: 129, pixels_max: 589_824 }
  runner.reply({ type: 'ready', device: 'cpu', devices: 1, vram_bytes: 0, models, limits })
  return runner
}

/** A new attempt in the slot's waiting place, with all its files. */
async function waiting(): Promise<Attempt> {
  const attempt = newAttempt(api, deps)
  slot.reserve(attempt)
  await attempt.take(async () => {})
  return attempt
}

const files = { video: '/none', thumbnail: '/none', spritesheet: '/none' }

type AboutAttempt = Extract<RunnerReply, { id: string }> | Extract<RunnerReply, { type: 'failed' }>

test.each<AboutAttempt>([
  { type: 'released', id: '' },
  { type: 'finished', id: '', files, timings: {}, tokens: 0, peak_vram_bytes: 0, seed: 0 },
  { type: 'failed', id: '', code: 'internal', message: 'broken', retryable: true },
  { type: 'cancelled', id: '', step: 1 },
  { type: 'yielded', id: '', step: 1 },
])('the next video is sent before the attempt that left the device hears $type', async (reply) => {
  const runner = getReady()
  const first = await waiting()
  runner.reply({ type: 'started', id: first.runnerId })
  const second = await waiting()
  const stateAtSend: string[] = []
  runner.onSend = () => stateAtSend.push(first.state)
  runner.reply({ ...reply, id: first.runnerId })
  expect(runner.sent.at(-1)).toMatchObject({ type: 'generate', id: second.runnerId })
  expect(stateAtSend).toEqual(['running'])
  expect(first.state).not.toBe('running')
})

async function running(): Promise<Attempt> {
  const attempt = await waiting()
  runners.at(-1)?.reply({ type: 'started', id: attempt.runnerId })
  expect(attempt.state).toBe('running')
  return attempt
}

test('a runner whose device is lost ends only when the videos that it encodes are out, and starts nothing before', async () => {
  const runner = getReady()
  const encoding = await running()
  runner.reply({ type: 'released', id: encoding.runnerId })
  const lost = await running()
  const next = await waiting()
  runner.reply({ type: 'failed', id: lost.runnerId, code: 'device_lost', message: 'gone', retryable: true })
  expect(lost.state).toBe('over')
  expect(slot.readiness).toBeUndefined()
  expect(slot.wantsJob).toBe(false)
  expect(next.state).toBe('waiting')
  const cannotEncode = { code: 'internal', message: 'no', retryable: true } as const
  runner.reply({ type: 'failed', id: encoding.runnerId, ...cannotEncode })
  await expect.poll(() => runners.length).toBe(2)
  getReady()
  expect(next.state).toBe('starting')
})

test('the attempts of a runner that dies fail, the one that waits is started by the next runner', async () => {
  const runner = getReady()
  const encoding = await running()
  runner.reply({ type: 'released', id: encoding.runnerId })
  const onDevice = await running()
  const next = await waiting()
  runner.kill({ why: 'exited', message: 'the runner ended with SIGKILL' })
  expect([encoding.state, onDevice.state, next.state]).toEqual(['over', 'over', 'waiting'])
  for (const { video } of [encoding, onDevice]) {
    const { report } = await api.reported((received) => received.video === video && 'code' in received.report)
    expect(report).toMatchObject({ type: 'failed', code: 'runner_exited', retryable: true })
  }
  await expect.poll(() => runners.length).toBe(2)
  getReady()
  expect(next.state).toBe('starting')
})

test('after a second video in a row the slot hands back what waits, and what still comes, until one succeeds', async () => {
  const runner = getReady()
  const failure = { code: 'internal', message: 'no kernel image', retryable: true } as const
  const first = await running()
  runner.reply({ type: 'failed', id: first.runnerId, ...failure })
  expect([slot.isOffered, slot.wantsJob]).toEqual([true, false])
  await expect.poll(() => slot.wantsJob).toBe(true)
  const encoding = await running()
  runner.reply({ type: 'released', id: encoding.runnerId })
  const second = await running()
  const next = await waiting()
  runner.reply({ type: 'failed', id: encoding.runnerId, ...failure })
  expect([slot.isOffered, slot.wantsJob]).toEqual([false, false])
  expect([second.state, next.state]).toEqual(['running', 'over'])
  expect((await waiting()).state).toBe('over')
})

test('a runner that cannot load hands back the attempt that waits for it, and is started again', async () => {
  const attempt = await waiting()
  runners[0]?.reply({ type: 'failed', code: 'model_missing', message: 'no weights', retryable: false })
  expect(attempt.state).toBe('over')
  expect(await api.reported(({ video }) => video === attempt.video)).toBeDefined()
  await expect.poll(() => runners.length).toBe(2)
})

test('a runner that names other models than it was asked for offers what it was asked for, and one that lacks some is never ready', async () => {
  getReady(['ink-wash', 'animatic']).kill({ why: 'exited', message: 'gone' })
  await expect.poll(() => runners.length, { timeout: 20_000 }).toBe(2)
  getReady(['ink-wash'])
  expect(slot.readiness).toBeUndefined()
  await expect.poll(() => runners.length, { timeout: 20_000 }).toBe(3)
  getReady(['ink-wash', 'animatic'])
  expect(slot.readiness?.models).toEqual(['animatic'])
})

test('a runner may be silent while it is idle, and not while it loads, generates or encodes', async () => {
  expect(runners[0]?.mustReply).toBe(true)
  const runner = getReady()
  expect(runner.mustReply).toBe(false)
  const attempt = await running()
  expect(runner.mustReply).toBe(true)
  runner.reply({ type: 'released', id: attempt.runnerId })
  expect(runner.mustReply).toBe(true)
  const cannotEncode = { code: 'internal', message: 'no', retryable: true } as const
  runner.reply({ type: 'failed', id: attempt.runnerId, ...cannotEncode })
  expect(runner.mustReply).toBe(false)
})

test('a stop reaches the runner only for the attempt on the device', async () => {
  const runner = getReady()
  const encoding = await running()
  runner.reply({ type: 'released', id: encoding.runnerId })
  const onDevice = await running()
  const next = await waiting()
  for (const attempt of [encoding, onDevice, next]) attempt.onVerdict('stop')
  expect(runner.sent.filter(({ type }) => type === 'cancel')).toEqual([
    { type: 'cancel', id: onDevice.runnerId },
  ])
})

test('a closed slot takes nothing and starts no other runner', async () => {
  getReady()
  const attempt = await running()
  await slot.shutDown()
  expect(attempt.state).toBe('over')
  expect(slot.hasRoom || slot.wantsJob).toBe(false)
  expect(runners).toHaveLength(1)
})

test('an engine that is away takes no video until another runner has judged it, and is not asked in a hurry', async () => {
  const runner = getReady()
  const attempt = await waiting()
  runner.reply({ type: 'started', id: attempt.runnerId })
  runner.reply({ type: 'failed', id: attempt.runnerId, code: 'engine_away', message: 'no', retryable: true })
  expect(slot.isOffered).toBe(false)
  await attempt.whenOver()
  // After the memory of a device was too small the next runner starts in the same moment.
  expect(runners).toHaveLength(1)
  await expect.poll(() => runners.length).toBe(2)
  expect(slot.isOffered).toBe(false)
  getReady()
  expect(slot.isOffered).toBe(true)
  const { report } = await api.reported((received) => received.report.type === 'failed')
  expect(report).toMatchObject({ code: 'engine_away', retryable: true })
})

test('an estimate that the runner makes goes before one by steps', async () => {
  const runner = getReady()
  const attempt = await waiting()
  const { runnerId: id } = attempt
  runner.reply({ type: 'started', id })
  runner.reply({ type: 'progress', id, phase: 'denoise', step: 1, steps: 10 })
  expect(attempt.remainingMs).toBeNull()
  runner.reply({ type: 'progress', id, phase: 'denoise', step: 1, steps: 10, remaining_ms: 60_000 })
  expect(attempt.remainingMs).toBeGreaterThan(50_000)
  expect(slot.wantsJob).toBe(false)
  runner.reply({ type: 'progress', id, phase: 'denoise', step: 1, steps: 10, remaining_ms: 100 })
  expect(slot.wantsJob).toBe(true)
})
