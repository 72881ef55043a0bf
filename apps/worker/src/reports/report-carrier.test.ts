import type { GroupedReport, ReportAnswer } from '@sluice/shared/attempt-contract'
import { newClaim, newId } from '@sluice/shared/ids'
import { pino } from 'pino'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { type StandInApi, startStandInApi } from '../../../../test/support/stand-in-api.ts'
import { ReportCarrier } from './report-carrier.ts'
import { ApiUnavailableError, ReportClient, ReportRefusedError } from './report-client.ts'
import { type ProgressBody, ReportQueue } from './report-queue.ts'

let api: StandInApi
let carrier: ReportCarrier

const log = pino({ level: 'silent' })
const forever = new AbortController().signal

beforeEach(async () => {
  api = await startStandInApi()
  onTestFinished(() => api.close())
  carrier = new ReportCarrier(new ReportClient(api.url, api.token, log))
})

const started = (): GroupedReport => ({
  ...{ video: newId('video'), fence: 1 },
  report: { type: 'started', claim: newClaim(), worker: 'worker_a' },
})
const say = (report: GroupedReport, signal = forever): Promise<ReportAnswer> =>
  carrier.report(report, { signal, isUrgent: true })

test('what several attempts say at once goes in one request, and each hears its own answer', async () => {
  const [good, cancelled, refused, away] = [started(), started(), started(), started()]
  api.answer = ({ video }) => {
    if (video === refused.video) return 400
    if (video === away.video) return 503
    return video === cancelled.video ? 'cancel' : 'continue'
  }
  expect(
    await Promise.allSettled([good, cancelled, refused, away].map((report) => say(report))),
  ).toMatchObject([
    { value: { verdict: 'continue' } },
    { value: { verdict: 'cancel' } },
    { reason: expect.any(ReportRefusedError) },
    { reason: expect.any(ApiUnavailableError) },
  ])
  expect(api.groups).toHaveLength(1)
  // One alone needs no group.
  await say(started())
  expect(api.groups).toHaveLength(1)
})

test('to an API that is older each goes alone, and it is not asked again at once', async () => {
  api.knowsGroups = false
  const [first, second] = [started(), started()]
  api.answer = ({ video }) => (video === first.video ? 'yield' : 'continue')
  const sayBoth = async () => (await Promise.all([say(first), say(second)])).map(({ verdict }) => verdict)
  expect(await sayBoth()).toEqual(['yield', 'continue'])
  api.knowsGroups = true
  expect(await sayBoth()).toEqual(['yield', 'continue'])
  expect([api.reports.length, api.groups.length]).toEqual([4, 0])
})

test('when nothing answers each of them hears it, and may say it again', async () => {
  api.answer = () => 'hang up'
  const reports = [started(), started()]
  for (const outcome of await Promise.allSettled(reports.map((report) => say(report))))
    expect(outcome).toMatchObject({ reason: expect.any(ApiUnavailableError) })
  api.answer = () => 'continue'
  expect(await Promise.all(reports.map((report) => say(report)))).toEqual([
    { verdict: 'continue' },
    { verdict: 'continue' },
  ])
})

test('an attempt that is over waits for no answer, and is not sent if it has not been', async () => {
  const over = new AbortController()
  api.answer = ({ video }) => (video === late.video ? 'silence' : 'continue')
  const late = started()
  const waiting = say(late, over.signal)
  const unsent = carrier.report(started(), { signal: AbortSignal.abort('over before'), isUrgent: true })
  await expect(unsent).rejects.toBe('over before')
  await api.reported(({ video }) => video === late.video)
  over.abort('over')
  await expect(waiting).rejects.toBe('over')
  expect(await say(started())).toEqual({ verdict: 'continue' })
  expect(api.reports).toHaveLength(2)
})

test('the progress of all attempts of a worker goes out at the same moments, in one request', async () => {
  const progress: ProgressBody = { type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 }
  const attempts = Array.from({ length: 4 }, () => ({ video: newId('video'), claim: newClaim() }))
  const queues = attempts.map(
    ({ video, claim }) =>
      new ReportQueue({
        send: (report, how) =>
          carrier.report({ video, fence: 1, report: { ...report, claim, worker: 'worker_a' } }, how),
        onAnswer: () => {},
        newestProgress: () => progress,
        log,
      }),
  )
  onTestFinished(() => {
    for (const queue of queues) queue.close()
  })
  const isWhole = (group: (typeof api.groups)[number]) => group.length === attempts.length
  await expect.poll(() => api.groups.filter(isWhole).length, { timeout: 10_000 }).toBeGreaterThan(2)
  // What cannot wait goes alone, before the next of them.
  queues[0]?.milestone({ type: 'released' })
  const released = await api.reported(({ report }) => report.type === 'released')
  expect(released.video).toBe(attempts[0]?.video)
})

test('that a device is nearly free is said at once, and once', async () => {
  const said: ProgressBody[] = []
  let newest: ProgressBody = { type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 }
  const urgent: number[] = []
  const queue = new ReportQueue({
    send: async (report, { isUrgent }) => {
      if (report.type !== 'progress') return { verdict: 'continue' }
      said.push(report)
      if (isUrgent) urgent.push(report.step)
      return { verdict: 'continue' }
    },
    onAnswer: () => {},
    newestProgress: () => newest,
    log,
  })
  onTestFinished(() => queue.close())
  await expect.poll(() => said.length).toBeGreaterThan(1)
  newest = { ...newest, step: 2, remaining_ms: 1_500 }
  queue.progressed()
  await expect.poll(() => urgent).toEqual([1, 2])
  newest = { ...newest, step: 3, remaining_ms: 1_000 }
  queue.progressed()
  await expect.poll(() => said.at(-1)?.step).toBe(3)
  expect(urgent).toEqual([1, 2])
})
