import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { readMp4Facts } from '../support/mp4-facts.ts'
import { adminView, contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'

/** 50 steps of 100 ms with a checkpoint every 300 ms: enough time to kill something in the middle. */
const PACE = { SLUICE_ANIMATIC_STEP_MS: '100', SLUICE_ANIMATIC_CHECKPOINT_MS: '300' }
const CLIP = { num_frames: 17, num_steps: 50, seed: 11 } as const
const WORKER = 'apps/worker/src/main.ts'
const RUNNER = 'runners/animatic/src/main.ts'
const API = 'apps/api/src/main.ts'

describe.each(['postgres', 'redis'] as const)('on %s', (queue) => {
  let service: Service
  let undisturbed: Buffer

  beforeAll(async () => {
    service = await startService({ queue, env: PACE })
    const id = await submit(service, { ...CLIP, prompt: 'a lighthouse' })
    await videoWhen(service, id, isEnded)
    undisturbed = await contentOf(service, id)
  })
  afterAll(() => service?.stop())

  const midway = async (): Promise<string> => {
    const id = await submit(service, { ...CLIP, prompt: 'a lighthouse' })
    await eventually(
      () => adminView(service, id),
      (view) => view.checkpoint_step >= 10,
    )
    return id
  }

  /** Completed from a checkpoint, charged once for all steps, with the same bytes as an undisturbed run. */
  const expectResumed = async (id: string) => {
    const video = await videoWhen(service, id, isEnded, 90_000)
    expect(video).toMatchObject({ status: 'completed', usage: { steps: 50 }, cost: { state: 'charged' } })
    const view = await adminView(service, id)
    expect(view.attempts.length).toBeGreaterThan(1)
    expect(view.attempts.at(-1).resumed_from_step).toBeGreaterThanOrEqual(10)
    expect(view.transfers.map((transfer: { kind: string }) => transfer.kind)).toEqual(['hold', 'settle'])
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
    const bytes = await contentOf(service, id)
    expect(readMp4Facts(bytes)).toMatchObject({ width: 336, height: 192, samples: 17 })
    expect(bytes.equals(undisturbed)).toBe(true)
  }

  const kill = (part: string) => {
    const pids = service.pids(part)
    expect(pids.length).toBeGreaterThan(0)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
  }

  test(`a worker killed in the middle of a video: the video is completed from its checkpoint and settled once [${queue}]`, async () => {
    const id = await midway()
    kill(WORKER)
    await expectResumed(id)
  })

  test(`a runner killed in the middle of a video: the video is completed from its checkpoint and settled once [${queue}]`, async () => {
    const id = await midway()
    kill(RUNNER)
    await expectResumed(id)
  })

  test(`an API killed in the middle of a video: the video goes on and is settled once [${queue}]`, async () => {
    const id = await midway()
    kill(API)
    const video = await videoWhen(service, id, isEnded, 90_000)
    expect(video).toMatchObject({ status: 'completed', usage: { steps: 50 } })
    expect((await adminView(service, id)).transfers).toHaveLength(2)
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
  })

  test(`everything stopped in the middle and started again on the same data dir loses nothing [${queue}]`, async () => {
    const id = await midway()
    const waiting = await submit(service, { ...CLIP, prompt: 'waits', num_steps: 5 })
    expect(await service.interrupt()).toBe(0)
    for (const part of [WORKER, RUNNER, API, 'postgres']) expect(service.pids(part)).toEqual([])
    await service.restart()
    await expectResumed(id)
    expect(await videoWhen(service, waiting, isEnded)).toMatchObject({ status: 'completed' })
  })

  test(`everything killed in the middle and started again on the same data dir loses nothing [${queue}]`, async () => {
    const id = await midway()
    const waiting = await submit(service, { ...CLIP, prompt: 'waits', num_steps: 5 })
    const gone = eventually(
      async () => service.process.signalCode,
      (signal) => signal !== null,
    )
    service.process.kill('SIGKILL')
    for (const part of [WORKER, RUNNER, API]) {
      for (const pid of service.pids(part)) process.kill(pid, 'SIGKILL')
    }
    await gone
    await service.restart()
    await expectResumed(id)
    expect(await videoWhen(service, waiting, isEnded)).toMatchObject({ status: 'completed' })
  })

  test(`a signal to the whole process group stops all of it with exit 0 and leaves no process behind [${queue}]`, async () => {
    process.kill(-(service.process.pid ?? 0), 'SIGTERM')
    await eventually(
      async () => service.process.exitCode,
      (code) => code !== null,
    )
    expect(service.process.exitCode).toBe(0)
    for (const part of [WORKER, RUNNER, API, 'postgres']) expect(service.pids(part)).toEqual([])
    await service.restart()
  })
})

test('losing all of Redis loses no video and no money', async () => {
  const service = await startService({ queue: 'redis', env: PACE })
  try {
    const ids = [
      await submit(service, { ...CLIP, prompt: 'one' }),
      await submit(service, { ...CLIP, prompt: 'two', num_steps: 5 }),
    ]
    await videoWhen(service, ids[0] ?? '', (video) => video.progress > 10)
    const redis = new Redis(service.redisUrl ?? '')
    await redis.flushdb()
    redis.disconnect()
    for (const id of ids) {
      expect(await videoWhen(service, id, isEnded, 90_000)).toMatchObject({ status: 'completed' })
      expect((await adminView(service, id)).transfers).toHaveLength(2)
    }
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
  } finally {
    await service.stop()
  }
})
