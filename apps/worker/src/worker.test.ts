import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { attemptResultSchema, type Heartbeat, type Report } from '@sluice/shared/attempt-contract'
import { type AttemptProducer, openAttemptProducer } from '@sluice/shared/attempt-producer'
import type { Generation } from '@sluice/shared/generation'
import { newId } from '@sluice/shared/ids'
import { migrateQueue } from '@sluice/shared/queue-backend'
import { queueOf } from '@sluice/shared/queue-of'
import { type Logger, pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { CLIP } from '../../../test/support/attempt-parts.ts'
import { freePort } from '../../../test/support/free-port.ts'
import { farthest, quadrantMeans, quadrants } from '../../../test/support/images.ts'
import { mayMount, mountSmallDisk } from '../../../test/support/small-disk.ts'
import { type StandInApi, startStandInApi } from '../../../test/support/stand-in-api.ts'
import { frameAt } from '../../../test/support/video-frame.ts'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../cli/src/embedded-postgres/start-embedded-postgres.ts'
import { readWorkerConfig } from './config.ts'
import { ReportClient } from './reports/report-client.ts'
import { type RunningWorker, startWorker } from './worker.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const MISBEHAVING_RUNNER = fileURLToPath(
  new URL('../../../test/support/misbehaving-runner.ts', import.meta.url),
)

let postgres: EmbeddedPostgres
let producer: AttemptProducer
let root: string
let api: StandInApi
let pools = 0
let pool: string
let dataDir: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-worker-'))
  postgres = await startEmbeddedPostgres({ dir: join(root, 'postgres'), settings: { fsync: 'off' } })
  await migrateQueue(postgres.databaseUrl)
  producer = openAttemptProducer({ backend: 'postgres', url: postgres.databaseUrl, connectionsMax: 4 })
})

afterAll(async () => {
  await producer?.close()
  await postgres?.stop()
  await rm(root, { recursive: true, force: true })
})

beforeEach(async () => {
  pools += 1
  pool = `pool-${pools}`
  dataDir = join(root, pool)
  api = await startStandInApi()
  onTestFinished(() => api.close())
})

function environment(extra: Record<string, string> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    SLUICE_API_URL: api.url,
    SLUICE_WORKER_TOKEN: api.token,
    SLUICE_QUEUE_URL: postgres.databaseUrl,
    SLUICE_POOL: pool,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_ANIMATIC_STEP_MS: '10',
    SLUICE_ANIMATIC_CHECKPOINT_MS: '100',
    SLUICE_LOG: process.env.TEST_LOG_LEVEL ?? 'silent',
    ...extra,
  }
}

/** A worker in this process. */
async function start(extra: Record<string, string> = {}, log?: Logger): Promise<RunningWorker> {
  const config = readWorkerConfig(environment({ SLUICE_GRACE_MS: '3000', ...extra }))
  const worker = await startWorker(config, log ?? pino({ level: config.logLevel }))
  onTestFinished(() => worker.shutDown())
  return worker
}

const misbehaving = { SLUICE_RUNNER_COMMAND: JSON.stringify([process.execPath, MISBEHAVING_RUNNER]) }

/** A worker in a process of its own, with another module in it if that is given. */
function spawnWorker(
  env: Record<string, string>,
  module?: string,
): ChildProcess & {
  stderr: NonNullable<ChildProcess['stderr']>
  stdout: NonNullable<ChildProcess['stdout']>
} {
  const child = spawn(process.execPath, [...(module === undefined ? [] : ['--import', module]), MAIN], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (process.env.TEST_LOG_LEVEL) child.stdout.pipe(process.stdout)
  else child.stdout.resume()
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  return child
}

/** What the animatic runner says it serves. */
const ANIMATIC = {
  modes: ['t2v' as const, 'i2v' as const],
  limits: { frames_max: 129, pixels_max: 589_824, sequence_devices: 1 },
}

/** Puts the video's job into the queue of workers of the pool that serve `models`. */
async function deliver(
  video: string,
  fence: number,
  job: { model?: string | undefined; loaded?: string | undefined } = {},
  models = ['animatic'],
): Promise<void> {
  await producer.add({ video, fence, pool, queue: queueOf({ pool, models, ...ANIMATIC }), ...job })
}

async function submit(extra: Partial<Generation> = {}, video = newId('video')): Promise<string> {
  api.requests.set(video, { ...CLIP, ...extra })
  await deliver(video, 1, { model: extra.model })
  return video
}

const of =
  <T extends Report['type']>(video: string, type: T) =>
  (received: { video: string; report: Report }) =>
    received.video === video && received.report.type === type

const atStep =
  (video: string, step: number) =>
  (received: { video: string; report: Report }): boolean =>
    received.video === video && received.report.type === 'progress' && received.report.step >= step

async function final<T extends Report['type']>(
  video: string,
  type: T,
): Promise<Extract<Report, { type: T }>> {
  const received = await api.reported(
    (candidate) =>
      candidate.video === video &&
      ['finished', 'failed', 'cancelled', 'yielded'].includes(candidate.report.type),
  )
  expect(received.report).toMatchObject({ type })
  return received.report as Extract<Report, { type: T }>
}

test('an attempt goes from the queue to finished, with its files put and result.json last', async () => {
  const { worker } = await start({ SLUICE_COST_PER_HOUR: '1.99' })
  const video = await submit()
  const { result, claim } = await final(video, 'finished')
  expect([...api.files.keys()].filter((name) => !name.endsWith('checkpoint'))).toEqual(
    ['video.mp4', 'thumbnail.webp', 'spritesheet.jpg', 'result.json'].map((name) => `${video}/1/${name}`),
  )
  expect(api.contentTypes.get(`${video}/1/video.mp4`)).toBe('video/mp4')
  const stored = attemptResultSchema.parse(
    JSON.parse(api.files.get(`${video}/1/result.json`)?.toString() ?? ''),
  )
  expect(stored).toEqual(result)
  expect(result).toMatchObject({ video, fence: 1, claim, steps_run: 10, steps: 10, seed: 42 })
  expect(result.files.video.bytes).toBe(api.files.get(`${video}/1/video.mp4`)?.length)
  expect(
    new Set(api.reports.map((received) => `${received.report.worker} ${received.report.claim}`)),
  ).toEqual(new Set([`${worker} ${claim}`]))
  expect(api.types(video)[0]).toBe('taken')
  const beat = await api.beat((heartbeat) => heartbeat.slots === 1)
  expect(beat).toMatchObject({
    worker,
    pool,
    models: ['animatic'],
    cost_per_hour_micros: '1990000',
    draining: false,
  })
  await expect.poll(() => readdir(join(dataDir, 'worker/work'))).toEqual([])
  await expect.poll(() => readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

test('a worker of several models gives a video to the slot that has its model loaded, and says what a switch cost', async () => {
  const path = join(root, `${pool}-models.json`)
  await writeFile(path, JSON.stringify({ models: [{ id: 'ink-wash', base: 'animatic' }] }))
  await start({
    SLUICE_CATALOGUE: path,
    SLUICE_MODEL: 'animatic,ink-wash',
    SLUICE_ANIMATIC_SWITCH_MS: '50',
    SLUICE_SLOTS: '0;1',
  })
  expect(await api.beat(({ slots }) => slots === 2)).toMatchObject({
    models: ['animatic', 'ink-wash'],
    modes: ['t2v', 'i2v'],
    limits: { frames_max: 129, sequence_devices: 1 },
  })
  const loaded = (first: string, second: string) => (beat: Heartbeat) =>
    JSON.stringify(beat.loaded) ===
    JSON.stringify([
      { slot: 0, model: first },
      { slot: 1, model: second },
    ])
  await api.beat(loaded('animatic', 'animatic'))
  const made = async (model: string, meantFor?: string) => {
    const video = newId('video')
    api.requests.set(video, { ...CLIP, model })
    await deliver(video, 1, { model, loaded: meantFor }, ['animatic', 'ink-wash'])
    const { result } = await final(video, 'finished')
    const { report } = await api.reported(of(video, 'taken'))
    return { slot: report.type === 'taken' ? report.slot : null, switched: (result.timings.load ?? 0) > 0 }
  }
  // Both have loaded the first model, so the other goes to the first slot, and from then on each has one of
  // its own.
  expect(await made('ink-wash')).toEqual({ slot: 0, switched: true })
  for (let turn = 0; turn < 2; turn += 1) {
    expect(await made('animatic')).toEqual({ slot: 1, switched: false })
    expect(await made('ink-wash')).toEqual({ slot: 0, switched: false })
  }
  await api.beat(loaded('ink-wash', 'animatic'))
  // The gate may know better which of the two is to switch.
  expect(await made('ink-wash', 'animatic')).toEqual({ slot: 1, switched: true })
  await api.beat(loaded('ink-wash', 'ink-wash'))
})

test('finished is repeated until it is answered, and named in heartbeats meanwhile', async () => {
  let isAway = true
  let refusals = 0
  api.answer = (received) => {
    if (received.report.type !== 'finished' || !isAway) return 'continue'
    refusals += 1
    return refusals === 2 ? 'hang up' : 503
  }
  await start()
  const video = await submit()
  await final(video, 'finished')
  const beats = api.heartbeats.length
  const isNamed = (heartbeat: Heartbeat) => heartbeat.attempts.some((owned) => owned.video === video)
  await api.beat((heartbeat) => api.heartbeats.indexOf(heartbeat) >= beats && isNamed(heartbeat))
  await expect.poll(() => refusals, { timeout: 15_000 }).toBeGreaterThan(2)
  isAway = false
  await expect.poll(() => readdir(join(dataDir, 'worker/spool')), { timeout: 15_000 }).toEqual([])
  const times = api.types(video).filter((type) => type === 'finished').length
  expect(times).toBe(refusals + 1)
})

test('finished survives a SIGKILL of the worker: the next start of the same data dir sends it', async () => {
  let away = true
  api.answer = (received) => (received.report.type === 'finished' && away ? 503 : 'continue')
  const first = spawnWorker(environment())
  const video = await submit()
  await final(video, 'finished')
  const exited = once(first, 'exit')
  first.kill('SIGKILL')
  await exited
  away = false
  const before = api.reports.length
  const claims = new Set(api.reports.filter((one) => one.video === video).map((one) => one.report.claim))
  const { worker } = await start()
  const again = await api.reported(
    (candidate) => candidate.video === video && api.reports.indexOf(candidate) >= before,
  )
  expect(again.report.type).toBe('finished')
  expect(claims).toEqual(new Set([again.report.claim]))
  expect(again.report.worker).toBe(worker)
  await expect.poll(() => readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

/** What a worker process has logged so far. */
function messagesOf(child: ReturnType<typeof spawnWorker>): () => string {
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk
  })
  return () => said
}

test.skipIf(!mayMount())(
  'a full disk under the spool ends no worker: reports are sent from memory, and written once there is room',
  async () => {
    const spoolDir = join(dataDir, 'worker/spool')
    const disk = mountSmallDisk(spoolDir, 64)
    disk.fill()
    const child = spawnWorker(environment({ SLUICE_LOG: 'info' }))
    const messages = messagesOf(child)
    await final(await submit(), 'finished')
    await expect.poll(messages).toContain('cannot be written to the spool')
    await expect.poll(messages).toContain('attempt ended')

    let isAway = true
    api.answer = ({ report }) => (report.type === 'finished' && isAway ? 503 : 'continue')
    const video = await submit()
    await final(video, 'finished')
    const beats = api.heartbeats.length
    const isNamed = (heartbeat: Heartbeat) => heartbeat.attempts.some((owned) => owned.video === video)
    await api.beat((heartbeat) => api.heartbeats.indexOf(heartbeat) >= beats && isNamed(heartbeat))
    const spooled = async () => (await readdir(spoolDir)).filter((name) => name.endsWith('.json'))
    expect(await spooled()).toEqual([])
    disk.free()
    await expect.poll(spooled, { timeout: 15_000 }).toEqual([expect.stringContaining(video)])
    expect(messages()).toContain('the spool has room again')

    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    isAway = false
    const before = api.reports.length
    await start()
    await api.reported((received) => received.video === video && api.reports.indexOf(received) >= before)
    await expect.poll(spooled).toEqual([])
  },
)

test.skipIf(!mayMount())(
  'a full disk under everything a worker writes fails one video as the host’s fault: then no slot is offered until it has room',
  async () => {
    const disk = mountSmallDisk(dataDir, 4_096)
    const child = spawnWorker(environment({ SLUICE_LOG: 'info' }))
    const messages = messagesOf(child)
    await api.beat(({ slots }) => slots === 1)
    disk.fill()
    expect(await final(await submit(), 'failed')).toMatchObject({ code: 'host_failed', retryable: true })
    const ready = api.heartbeats.findIndex(({ slots }) => slots === 1)
    const unwell = await api.beat((beat) => api.heartbeats.indexOf(beat) > ready && beat.slots === 0)
    await expect.poll(messages).toContain('cannot be written to the spool')
    await expect.poll(messages).toContain('attempt ended')
    disk.free()
    await api.beat(
      (beat) => api.heartbeats.indexOf(beat) > api.heartbeats.indexOf(unwell) && beat.slots === 1,
    )
    await final(await submit(), 'finished')
    for (const line of ['this host keeps videos from being made', 'the work folder can be written again'])
      expect(messages().split(line)).toHaveLength(2)
    await expect.poll(() => readdir(join(dataDir, 'worker/spool'))).toEqual([])
    expect(child.exitCode).toBeNull()
  },
  30_000,
)

test('a final report the API will never accept leaves the spool', async () => {
  api.answer = (received) => (received.report.type === 'finished' ? 404 : 'continue')
  await start()
  await final(await submit(), 'finished')
  await expect.poll(() => readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

test('a zombie that is answered stop ends silently, and the next video runs', async () => {
  api.answer = (received) =>
    received.report.type === 'progress' && received.video === zombie ? 'stop' : 'continue'
  await start()
  const zombie = await submit({ num_steps: 100, seed: 7 })
  await api.reported(of(zombie, 'progress'))
  const next = await submit()
  await final(next, 'finished')
  expect(
    api.types(zombie).filter((type) => ['finished', 'failed', 'cancelled', 'yielded'].includes(type)),
  ).toEqual([])
  await expect.poll(() => readdir(join(dataDir, 'worker/work'))).toEqual([])
})

test('a job the API no longer knows is dropped', async () => {
  api.answer = (received) =>
    received.report.type === 'taken' && received.video === gone ? 'stop' : 'continue'
  const gone = await submit()
  await start()
  await final(await submit(), 'finished')
  expect(api.types(gone)).toEqual(['taken'])
})

test('cancel stops the runner at a step and is reported with the steps done', async () => {
  api.answer = (received) =>
    received.video === video && received.report.type === 'progress' && received.report.step >= 2
      ? 'cancel'
      : 'continue'
  await start({ SLUICE_ANIMATIC_STEP_MS: '50' })
  const video = await submit({ num_steps: 100 })
  const { step } = await final(video, 'cancelled')
  expect(step).toBeGreaterThanOrEqual(2)
  expect(step).toBeLessThan(100)
})

test('a cancel while the attempt waits for the slot ends it there, at step 0', async () => {
  await start({ SLUICE_ANIMATIC_STEP_MS: '100' })
  api.answer = (received) =>
    received.video === waiting && received.report.type === 'taken' ? 'cancel' : 'continue'
  const running = await submit({ num_steps: 18 })
  const waiting = await submit({ num_steps: 100 })
  expect(await final(waiting, 'cancelled')).toMatchObject({ step: 0 })
  await final(running, 'finished')
  expect(api.types(waiting)).toEqual(['taken', 'cancelled'])
})

test('a verdict in the answer to a heartbeat is obeyed: stop frees the slot for the next video', async () => {
  api.heartbeatVerdict = (video) => (video === zombie ? 'stop' : 'continue')
  await start({ SLUICE_ANIMATIC_STEP_MS: '100' })
  const zombie = await submit({ num_steps: 100 })
  await api.beat((heartbeat) => heartbeat.attempts.some((owned) => owned.video === zombie))
  await final(await submit(), 'finished')
  expect(api.types(zombie)).not.toContain('cancelled')
})

test('yield uploads and reports the checkpoint before it hands back, and the next attempt resumes from it', async () => {
  let asked = false
  api.answer = (received) => {
    if (received.report.type !== 'progress' || received.report.step < 3 || asked) return 'continue'
    asked = true
    return 'yield'
  }
  await start({ SLUICE_ANIMATIC_STEP_MS: '50', SLUICE_ANIMATIC_CHECKPOINT_MS: '60000' })
  const video = await submit({ num_steps: 30 })
  const { step } = await final(video, 'yielded')
  const types = api.types(video)
  expect(types.indexOf('checkpoint')).toBeLessThan(types.indexOf('yielded'))
  expect(api.reports.find(of(video, 'checkpoint'))?.report).toMatchObject({ step })
  api.resumes.set(video, { step, file: `${video}/1/checkpoint` })
  await deliver(video, 2)
  const received = await api.reported(of(video, 'finished'))
  expect(received).toMatchObject({ fence: 2, report: { result: { steps_run: 30 - step, steps: 30 } } })
})

test('a checkpoint the runner refuses is reported as such, and may be retried', async () => {
  await start(misbehaving)
  const video = newId('video')
  api.files.set('old/checkpoint', Buffer.from('of another generation'))
  api.resumes.set(video, { step: 4, file: 'old/checkpoint' })
  const other = await submit({ seed: 6 })
  expect(await final(other, 'failed')).toMatchObject({ code: 'bad_input', retryable: false })
  api.requests.set(video, { ...(api.requests.get(other) as Generation) })
  await deliver(video, 1)
  expect(await final(video, 'failed')).toMatchObject({
    code: 'checkpoint_unusable',
    retryable: true,
    step: 0,
  })
})

test.each([
  { seed: 1, does: 'crashes', code: 'runner_exited', step: 2 },
  { seed: 2, does: 'stalls', code: 'stalled', step: 2 },
  { seed: 3, does: 'makes a bad file', code: 'bad_output', step: 10 },
  { seed: 4, does: 'runs out of memory', code: 'out_of_memory', step: 2 },
  { seed: 5, does: 'breaks the protocol', code: 'internal', step: 0 },
  { seed: 7, does: 'lacks the weights', code: 'model_missing', step: 0 },
])(
  'a runner that $does fails its attempt as $code, retryable, and the next job works',
  async ({ seed, code, step }) => {
    // Longer than a busy machine takes to start a runner, which counts as silence too.
    await start({ ...misbehaving, ...(code === 'stalled' ? { SLUICE_RUNNER_STALL_MS: '6000' } : {}) })
    expect(await final(await submit({ seed }), 'failed')).toMatchObject({ code, retryable: true, step })
    await final(await submit(), 'finished')
  },
)

test('a slot on which two videos in a row fail offers itself again only after a rest; one poison video alone is no reason', async () => {
  const { log, lines } = readableLog()
  await start(misbehaving, log)
  const poison = await submit({ seed: 3 })
  await final(poison, 'failed')
  await deliver(poison, 2)
  await api.reported(
    ({ video, fence, report }) => video === poison && fence === 2 && report.type === 'failed',
  )
  const rests = () => lines.filter(({ msg }) => msg.startsWith('one video after the other fails'))
  expect(rests()).toEqual([])
  expect(api.heartbeats.slice(api.heartbeats.findIndex(({ slots }) => slots === 1))).not.toContainEqual(
    expect.objectContaining({ slots: 0 }),
  )
  const { length } = api.heartbeats
  await final(await submit({ seed: 3 }), 'failed')
  const unwell = await api.beat((beat) => api.heartbeats.indexOf(beat) >= length && beat.slots === 0)
  await api.beat((beat) => api.heartbeats.indexOf(beat) > api.heartbeats.indexOf(unwell) && beat.slots === 1)
  await final(await submit(), 'finished')
  expect(rests()).toMatchObject([{ level: 50, slot: 0, reason: expect.stringContaining('bad_output') }])
  await expect.poll(() => lines.filter(({ msg }) => msg === 'the slot makes videos again')).toHaveLength(1)
})

test('out_of_memory restarts the runner', async () => {
  await start(misbehaving)
  await final(await submit({ seed: 4 }), 'failed')
  const before = api.heartbeats.length
  await api.beat((heartbeat) => api.heartbeats.indexOf(heartbeat) >= before - 1 && heartbeat.slots === 0)
  await final(await submit(), 'finished')
})

test('a nearly free slot takes its next video, which starts as the device is released, while the last one is uploaded', async () => {
  let isStoreAway = true
  await start({ SLUICE_ANIMATIC_STEP_MS: '30' })
  api.putStatus = (path) => (isStoreAway && path === `${first}/1/video.mp4` ? 503 : 200)
  const first = await submit({ num_steps: 20 })
  await api.reported(of(first, 'started'))
  const second = await submit({ num_steps: 20 })
  const [taken, released] = await Promise.all([
    api.reported(of(second, 'taken')),
    api.reported(of(first, 'released')),
  ])
  expect(taken.at).toBeLessThan(released.at)
  await final(second, 'finished')
  expect(api.types(first)).not.toContain('finished')
  isStoreAway = false
  await final(first, 'finished')
})

/** A runner that says again and again that it is busy for as many milliseconds more as the seed is. */
const ALWAYS_NEARLY_FREE = `
  const say = (reply) => require('fs').writeSync(3, JSON.stringify(reply) + '\\n')
  say({ type: 'ready', device: 'cpu', devices: 1, vram_bytes: 0, models: ['animatic'],
    limits: { frames_max: 129, pixels_max: 589824 } })
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { type, id, request } = JSON.parse(line)
    if (type !== 'generate') return
    say({ type: 'started', id })
    const progress = { type: 'progress', id, phase: 'denoise', step: 1, steps: request.num_steps }
    setInterval(() => say({ ...progress, remaining_ms: request.seed }), 50)
  }).on('close', () => process.exit())`

test('of two nearly free slots the one that is free first takes the next video', async () => {
  await start({
    SLUICE_RUNNER_COMMAND: JSON.stringify([process.execPath, '-e', ALWAYS_NEARLY_FREE]),
    SLUICE_SLOTS: '0;1',
    SLUICE_GRACE_MS: '0',
  })
  const slots = new Map<string, number>()
  for (const seed of [1_900, 1_000, 1]) {
    const video = await submit({ seed })
    const { report } = await api.reported(of(video, 'taken'))
    if (report.type === 'taken') slots.set(`${seed} ms`, report.slot)
    // The third one waits behind one of them.
    if (seed > 1) await api.reported(atStep(video, 1))
  }
  expect(slots.get('1000 ms')).not.toBe(slots.get('1900 ms'))
  expect(slots.get('1 ms')).toBe(slots.get('1000 ms'))
})

test('expired URLs are refreshed by repeating taken', async () => {
  await start()
  const stale = new Set<string>()
  api.putStatus = (path, query) => {
    const signature = query.get('signature') ?? ''
    if (!path.endsWith('video.mp4') || (stale.size > 0 && !stale.has(signature))) return 200
    stale.add(signature)
    return 403
  }
  const video = await submit()
  await final(video, 'finished')
  expect(api.types(video).filter((type) => type === 'taken')).toHaveLength(2)
})

test('SIGTERM hands the running video back with its checkpoint, and the worker exits 0', async () => {
  const child = spawnWorker(
    environment({ SLUICE_ANIMATIC_STEP_MS: '100', SLUICE_ANIMATIC_CHECKPOINT_MS: '60000' }),
  )
  const video = await submit({ num_steps: 100 })
  await api.reported(atStep(video, 2))
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  const { step } = await final(video, 'yielded')
  expect(step).toBeGreaterThanOrEqual(2)
  expect(api.types(video)).toContain('checkpoint')
  expect(api.heartbeats.some((heartbeat) => heartbeat.draining)).toBe(true)
  expect(await readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

test('a worker that shuts down finishes a video that will be through well within the grace', async () => {
  const worker = await start({ SLUICE_GRACE_MS: '10000', SLUICE_ANIMATIC_STEP_MS: '50' })
  const video = await submit({ num_steps: 30 })
  await api.reported(atStep(video, 3))
  await worker.shutDown()
  await final(video, 'finished')
  expect(await readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

test('when the grace is over, a running video is handed back with the checkpoint that is in the store', async () => {
  const worker = await start({
    SLUICE_GRACE_MS: '0',
    SLUICE_ANIMATIC_STEP_MS: '100',
    SLUICE_ANIMATIC_CHECKPOINT_MS: '1000',
  })
  const video = await submit({ num_steps: 100 })
  const { report } = await api.reported(of(video, 'checkpoint'))
  const storedStep = report.type === 'checkpoint' ? report.step : 0
  await api.reported(atStep(video, storedStep + 2))
  await worker.shutDown()
  expect(await final(video, 'yielded')).toMatchObject({ step: storedStep })
  expect(await readdir(join(dataDir, 'worker/spool'))).toEqual([])
})

test('a worker whose supervisor is gone shuts down by itself', async () => {
  const child = spawn(process.execPath, [MAIN], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  await api.beat((heartbeat) => heartbeat.slots === 1)
  const exited = once(child, 'exit')
  child.disconnect()
  expect(await exited).toEqual([0, null])
})

test('a second signal ends the worker at once with 1', async () => {
  api.answer = (received) => (received.report.type === 'finished' ? 503 : 'continue')
  const child = spawnWorker(environment())
  await final(await submit(), 'finished')
  child.kill('SIGTERM')
  await api.beat((heartbeat) => heartbeat.draining)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([1, null])
})

test('a rejected promise that nobody handles is logged as fatal, and the worker exits with 1', async () => {
  const reject = `process.on('SIGUSR2', () => void Promise.reject(new Error('nobody handles this')))`
  const child = spawnWorker(environment({ SLUICE_LOG: 'info' }), `data:text/javascript,${reject}`)
  const messages = messagesOf(child)
  await api.beat((heartbeat) => heartbeat.slots === 1)
  const exited = once(child, 'exit')
  child.kill('SIGUSR2')
  expect(await exited).toEqual([1, null])
  expect(messages()).toMatch(/"level":60.*nobody handles this/)
})

test('without its settings the worker refuses to start, names every missing one and exits 2', async () => {
  const child = spawnWorker({ PATH: process.env.PATH ?? '' })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  expect(await once(child, 'close')).toEqual([2, null])
  for (const name of ['SLUICE_API_URL', 'SLUICE_WORKER_TOKEN', 'REDIS_URL or SLUICE_QUEUE_URL'])
    expect(said).toContain(name)
})

test('a worker whose queue refuses it names the setting and exits 2, and shows no password', async () => {
  const refused = new URL(postgres.databaseUrl)
  refused.password = 'hunter22'
  const child = spawnWorker(environment({ SLUICE_QUEUE_URL: refused.href }))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  expect(await once(child, 'close')).toEqual([2, null])
  expect(said).toMatch(/SLUICE_QUEUE_URL is .*password authentication failed/)
  expect(said).not.toContain('hunter22')
})

test('the queue is that of the installation which the API names, from the answer that names it on', async () => {
  await start()
  await final(await submit(), 'finished')
  api.installation = 'f00d'
  const own = openAttemptProducer({
    backend: 'postgres',
    url: postgres.databaseUrl,
    connectionsMax: 4,
    installation: api.installation,
  })
  onTestFinished(() => own.close())
  const video = newId('video')
  api.requests.set(video, CLIP)
  await own.add({ video, fence: 1, pool, queue: queueOf({ pool, models: ['animatic'], ...ANIMATIC }) })
  await final(video, 'finished')
})

test('a refused token loses nothing: the attempt is taken once the API knows it', async () => {
  const known = api.token
  api.token = 'another'
  await start({ SLUICE_WORKER_TOKEN: known })
  const video = await submit()
  api.token = known
  await final(video, 'finished')
})

test('two workers on one data dir have different ids, and a restart keeps its own', async () => {
  const first = await start()
  const second = await start()
  expect(first.worker).not.toBe(second.worker)
  await first.shutDown()
  expect((await start()).worker).toBe(first.worker)
})

test('a runner sees the devices of its slot and neither token nor queue', () => {
  const { runner, slots } = readWorkerConfig(
    environment({ SLUICE_SLOTS: '0,1; 2,3', CUDA_HOME: '/cuda', SECRET: 'x' }),
  )
  expect(slots).toEqual(['0,1', '2,3'])
  expect(runner.deviceVariable).toBe('CUDA_VISIBLE_DEVICES')
  expect(runner.environment).toMatchObject({ CUDA_HOME: '/cuda', SLUICE_ANIMATIC_STEP_MS: '10' })
  expect(Object.keys(runner.environment)).not.toEqual(expect.arrayContaining(['SECRET']))
  expect(JSON.stringify(runner.environment)).not.toContain(api.token)
  expect(JSON.stringify(runner.environment)).not.toContain('postgres')
})

test('the image of a video is fetched through outages and expired URLs, checked by its hash, and reaches the runner', async () => {
  const png = await quadrants(256, 256).png().toBuffer()
  const reference_sha256 = createHash('sha256').update(png).digest('hex')
  api.files.set('picture.png', png)
  // An outage, then a URL that has expired; the third URL is a fresh one.
  const refusals = [503, 403]
  api.getStatus = () => refusals.shift() ?? 200
  await start()
  const video = newId('video')
  api.inputImages.set(video, 'picture.png')
  await submit({ mode: 'i2v', prompt: '.', i2v_condition: 'head', reference_sha256 }, video)
  await final(video, 'finished')
  expect(refusals).toEqual([])
  expect(api.types(video).filter((type) => type === 'taken')).toHaveLength(2)
  const first = await frameAt(api.files.get(`${video}/1/video.mp4`) ?? Buffer.alloc(0), 0)
  expect(farthest(await quadrantMeans(first))).toBeLessThan(36)
})

test('an image that is gone fails its attempt, retryable, and the next video runs', async () => {
  await start()
  const video = newId('video')
  api.inputImages.set(video, 'absent.png')
  await submit({ mode: 'i2v' }, video)
  expect(await final(video, 'failed')).toMatchObject({ code: 'input_unavailable', retryable: true, step: 0 })
  await final(await submit(), 'finished')
})

test('an image that came damaged is fetched again', async () => {
  const png = await quadrants(256, 256).png().toBuffer()
  const reference_sha256 = createHash('sha256').update(png).digest('hex')
  api.files.set('picture.png', await quadrants(256, 256).negate().png().toBuffer())
  api.getStatus = () => {
    // The file that is sent now was read before.
    api.files.set('picture.png', png)
    return 200
  }
  await start()
  const video = newId('video')
  api.inputImages.set(video, 'picture.png')
  await submit({ mode: 'i2v', prompt: '.', reference_sha256 }, video)
  await final(video, 'finished')
  const first = await frameAt(api.files.get(`${video}/1/video.mp4`) ?? Buffer.alloc(0), 0)
  expect(farthest(await quadrantMeans(first))).toBeLessThan(36)
})

/** A log whose lines a test reads. */
function readableLog(): { log: Logger; lines: { level: number; msg: string; setting?: string }[] } {
  const lines: { level: number; msg: string; setting?: string }[] = []
  return {
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    lines,
  }
}

test('a worker that cannot reach its queue offers no slot and says so once; when it can, it offers them and takes videos', async () => {
  const { port } = new URL(postgres.databaseUrl)
  const sockets = new Set<Socket>()
  const proxy = createServer((socket) => {
    const server = connect(Number(port), '127.0.0.1')
    for (const end of [socket, server]) {
      sockets.add(end)
      end.on('error', () => {})
    }
    socket.pipe(server).pipe(socket)
  })
  const listen = async (at: number) => {
    proxy.listen(at, '127.0.0.1')
    await once(proxy, 'listening')
  }
  const cut = async () => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
    await once(proxy, 'close')
  }
  const proxyPort = await freePort()
  const url = new URL(postgres.databaseUrl)
  url.host = `127.0.0.1:${proxyPort}`
  const { log, lines } = readableLog()
  await start({ SLUICE_QUEUE_URL: url.href }, log)
  const away = () => lines.filter(({ msg }) => msg.includes('queue cannot be reached'))
  await expect.poll(away, { timeout: 15_000 }).toHaveLength(1)
  expect(away()).toMatchObject([{ level: 50, setting: 'SLUICE_QUEUE_URL' }])
  expect(new Set(api.heartbeats.map(({ slots }) => slots))).toEqual(new Set([0]))
  await listen(proxyPort)
  await api.beat(({ slots }) => slots === 1)
  await final(await submit(), 'finished')
  const beats = api.heartbeats.length
  await cut()
  await api.beat((heartbeat) => api.heartbeats.indexOf(heartbeat) >= beats && heartbeat.slots === 0)
  await expect.poll(away).toHaveLength(2)
  expect(lines.filter(({ msg }) => msg === 'the queue is reached again')).toHaveLength(1)
})

test('a worker whose id a live process elsewhere has takes another for good, drops what it has in hand and goes on', async () => {
  const { log, lines } = readableLog()
  const first = await start({ SLUICE_ANIMATIC_STEP_MS: '100' }, log)
  const before = first.worker
  const dropped = await submit({ num_steps: 100 })
  await api.reported(of(dropped, 'progress'))
  api.heartbeatStatus = ({ worker }) => (worker === before ? 409 : 200)
  const beat = await api.beat(({ worker, slots }) => worker !== before && slots === 1)
  expect(beat.attempts).toEqual([])
  const video = await submit()
  expect((await final(video, 'finished')).result).toMatchObject({ video })
  expect((await api.reported(of(video, 'taken'))).report.worker).toBe(beat.worker)
  expect(api.types(dropped)).not.toContain('finished')
  expect(lines.filter(({ msg }) => msg === 'takes another id')).toMatchObject([
    { level: 50, before, worker: beat.worker, reason: expect.stringContaining(before) },
  ])
  await first.shutDown()
  expect((await start()).worker).toBe(beat.worker)
})

const HEARTBEAT: Heartbeat = {
  worker: 'worker_1',
  boot: 'b',
  pool: 'pool',
  slots: 0,
  device: 'cpu',
  devices_per_slot: 1,
  vram_bytes: 0,
  models: [],
  limits: { frames_max: 1, pixels_max: 1 },
  cost_per_hour_micros: null,
  draining: false,
  attempts: [],
}

test('a worker says once that its API is away, and that it is back', async () => {
  const { log, lines } = readableLog()
  api.heartbeatStatus = () => 503
  const config = readWorkerConfig(environment())
  const client = new ReportClient(config.apiUrl, config.token, log)
  const beat = () => client.heartbeat(HEARTBEAT).catch((error: Error) => error.name)
  for (let beats = 0; beats < 3; beats += 1) expect(await beat()).toBe('ApiUnavailableError')
  api.heartbeatStatus = () => 200
  expect(await beat()).toEqual({ attempts: [] })
  await beat()
  expect(lines).toMatchObject([
    { level: 50, setting: 'SLUICE_API_URL', reason: expect.stringContaining('HTTP 503') },
    { level: 30, msg: 'the API answers again' },
  ])
})

test.each([401, 403])(
  'a worker says once that its token is refused with %i, and when it is accepted',
  async (status) => {
    const { log, lines } = readableLog()
    const client = new ReportClient(api.url, api.token, log)
    const beat = () => client.heartbeat(HEARTBEAT).catch((error: Error) => error.name)
    api.heartbeatStatus = () => status
    for (let beats = 0; beats < 3; beats += 1) expect(await beat()).toBe('ApiUnavailableError')
    api.heartbeatStatus = () => 200
    await beat()
    expect(lines).toMatchObject([
      { level: 50, setting: 'SLUICE_WORKER_TOKEN', msg: expect.stringContaining(api.url) },
      { level: 30, msg: 'the worker token is accepted again' },
    ])
  },
)

test('whatever hangs, a shutdown ends: the API and the store are silent, and the runner does not stop', async () => {
  const worker = await start({ ...misbehaving, SLUICE_GRACE_MS: '200', SLUICE_SLOTS: '0;1' })
  api.putStatus = () => 'silence'
  const uploading = await submit()
  await api.reported(of(uploading, 'released'))
  const stuck = await submit({ seed: 2 })
  await api.reported(atStep(stuck, 2))
  api.answer = () => 'silence'
  await worker.shutDown()
  // What was not answered waits on disk for the next start.
  const spooled = await readdir(join(dataDir, 'worker/spool'))
  expect(spooled.map((name) => name.split('-')[0]).toSorted()).toEqual([uploading, stuck].toSorted())
})

test.skipIf(!mayMount())(
  'a worker that finds its disk full at its start says so in one line and exits 1, for a supervisor to try again',
  async () => {
    const disk = mountSmallDisk(dataDir, 64)
    disk.fill()
    const child = spawnWorker(environment())
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    expect(await once(child, 'close')).toEqual([1, null])
    expect(said).toMatch(/nothing can be written to SLUICE_DATA_DIR .*ENOSPC/)
    expect(said).not.toContain('    at ')
  },
)
