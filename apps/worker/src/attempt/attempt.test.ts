import { once } from 'node:events'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { attemptDeps, newAttempt } from '../../../../test/support/attempt-parts.ts'
import { type StandInApi, startStandInApi } from '../../../../test/support/stand-in-api.ts'
import { StepPace } from '../runner/step-pace.ts'
import { IllegalStateError, StateMachine } from '../state-machine.ts'
import type { Attempt, AttemptDeps } from './attempt.ts'
import { ATTEMPT_FOLLOWERS, type AttemptState } from './attempt-state.ts'

let api: StandInApi
let deps: AttemptDeps

beforeEach(async () => {
  api = await startStandInApi()
  onTestFinished(() => api.close())
  deps = attemptDeps(api)
})

const STATES = Object.keys(ATTEMPT_FOLLOWERS) as AttemptState[]
const PAIRS = STATES.flatMap((from) => STATES.map((to) => ({ from, to })))
const isLegal = ({ from, to }: { from: AttemptState; to: AttemptState }) =>
  ATTEMPT_FOLLOWERS[from].includes(to)

const acknowledge = () => Promise.resolve()

/** Gives the attempt an input image that the store does not hand out yet. */
function withholdImage({ video }: Attempt): void {
  api.files.set('image.png', Buffer.from('image'))
  api.inputImages.set(video, 'image.png')
  api.getStatus = () => 503
}

/** Starts the attempt; a test waits for the states it goes through. `take` never rejects. */
function taking(attempt: Attempt): void {
  // oxlint-disable-next-line typescript/no-floating-promises -- it never rejects
  void attempt.take(acknowledge)
}

/** Brings a new attempt into a state, each time from the one before it. */
const bring: Record<AttemptState, () => Promise<Attempt>> = {
  taking: async () => newAttempt(api, deps),
  fetching: async () => {
    const attempt = newAttempt(api, deps)
    withholdImage(attempt)
    taking(attempt)
    await expect.poll(() => attempt.state).toBe('fetching')
    return attempt
  },
  waiting: async () => {
    const attempt = newAttempt(api, deps)
    taking(attempt)
    await once(attempt, 'ready')
    return attempt
  },
  starting: async () => {
    const attempt = await bring.waiting()
    attempt.start(new StepPace())
    return attempt
  },
  running: async () => {
    const attempt = await bring.starting()
    attempt.onReply({ type: 'started', id: attempt.runnerId })
    return attempt
  },
  uploading: async () => {
    const attempt = await bring.running()
    attempt.onReply({ type: 'released', id: attempt.runnerId })
    return attempt
  },
  over: async () => {
    const attempt = newAttempt(api, deps)
    attempt.abandon()
    return attempt
  },
}

test.each(STATES)('an attempt can be %s', async (state) => {
  expect((await bring[state]()).state).toBe(state)
})

const cannot = { code: 'internal', message: 'cannot', retryable: true } as const

/** What leads from one state to another. */
const steps: Record<string, (attempt: Attempt) => unknown> = {
  'taking -> fetching': (attempt) => {
    withholdImage(attempt)
    taking(attempt)
  },
  'taking -> over': (attempt) => attempt.abandon(),
  'fetching -> waiting': () => {
    api.getStatus = () => 200
  },
  'fetching -> over': (attempt) => attempt.abandon(),
  'waiting -> starting': (attempt) => attempt.start(new StepPace()),
  'waiting -> over': (attempt) => attempt.yield(),
  'starting -> running': (attempt) => attempt.onReply({ type: 'started', id: attempt.runnerId }),
  'starting -> uploading': (attempt) => attempt.onReply({ type: 'released', id: attempt.runnerId }),
  'starting -> over': (attempt) => attempt.onReply({ type: 'failed', id: attempt.runnerId, ...cannot }),
  'running -> uploading': (attempt) => attempt.onReply({ type: 'yielded', id: attempt.runnerId, step: 2 }),
  'running -> over': (attempt) => attempt.onReply({ type: 'cancelled', id: attempt.runnerId, step: 2 }),
  'uploading -> over': (attempt) => attempt.fail(cannot),
}

test('every legal change of state is tried here', () => {
  expect(Object.keys(steps).sort()).toEqual(
    PAIRS.filter(isLegal)
      .map(({ from, to }) => `${from} -> ${to}`)
      .sort(),
  )
})

test.each(PAIRS.filter(isLegal))('an attempt may go from $from to $to', async ({ from, to }) => {
  const attempt = await bring[from]()
  await steps[`${from} -> ${to}`]?.(attempt)
  await expect.poll(() => attempt.state).toBe(to)
})

test.each(PAIRS.filter((pair) => !isLegal(pair)))(
  'no state machine of an attempt goes from $from to $to',
  ({ from, to }) => {
    const machine = new StateMachine<AttemptState>('attempt', ATTEMPT_FOLLOWERS, from)
    expect(() => machine.enter(to)).toThrow(IllegalStateError)
    expect(machine.current).toBe(from)
  },
)

test.each(STATES.filter((state) => state !== 'waiting'))(
  'an attempt that is %s refuses to be started',
  async (state) => {
    const attempt = await bring[state]()
    expect(() => attempt.start(new StepPace())).toThrow(IllegalStateError)
    expect(attempt.state).toBe(state)
  },
)

test('a runner that replies out of order fails its attempt and nothing else', async () => {
  const attempt = await bring.waiting()
  attempt.onReply({ type: 'released', id: attempt.runnerId })
  const { report } = await api.reported((received) => received.report.type === 'failed')
  expect(report).toMatchObject({ code: 'internal', retryable: true, step: 0 })
})

test.each(['cancel', 'yield'] as const)(
  'a %s that comes while the files are fetched ends the attempt before its start',
  async (verdict) => {
    const attempt = await bring.fetching()
    let isReady = false
    attempt.on('ready', () => {
      isReady = true
    })
    attempt.onVerdict(verdict)
    expect(attempt.state).toBe('fetching')
    api.getStatus = () => 200
    const type = verdict === 'cancel' ? 'cancelled' : 'yielded'
    expect(await api.reported((received) => received.report.type === type)).toMatchObject({
      report: { step: 0 },
    })
    expect(isReady).toBe(false)
  },
)

test('a running attempt passes each stop on once, and a cancel is not taken back by a yield', async () => {
  const attempt = await bring.running()
  const asked: string[] = []
  attempt.on('stop', (request) => asked.push(request))
  for (const verdict of ['yield', 'yield', 'cancel', 'cancel', 'yield'] as const) attempt.onVerdict(verdict)
  expect(asked).toEqual(['yield', 'cancel'])
})

test('heartbeats name an attempt from when its claim is bound until it is over', async () => {
  for (const state of STATES) {
    const { owned } = await bring[state]()
    if (state === 'taking' || state === 'over') expect(owned).toBeNull()
    else expect(owned).toMatchObject({ fence: 1 })
  }
})
