import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { readMp4Facts } from '../support/mp4-facts.ts'
import { adminView, contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'

const run = promisify(execFile)

describe.each(['postgres', 'redis'] as const)('on %s', (queue) => {
  let service: Service

  beforeAll(async () => {
    service = await startService({ queue, env: { SLUICE_ANIMATIC_STEP_MS: '20' } })
  })
  afterAll(() => service?.stop())

  test(`a pasted curl ends in an MP4 of exactly the size, frames and duration asked for [${queue}]`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-paste-'))
    try {
      const lines = await eventually(
        async () => /^ +\{ curl [\s\S]*?fi; \}$/m.exec(service.output())?.[0],
        (found) => found !== undefined,
      )
      await run('bash', ['-c', lines ?? ''], { cwd: folder, timeout: 60_000 })
      // The defaults: 336x192, 129 frames at 24 a second.
      expect(readMp4Facts(readFileSync(join(folder, 'boat.mp4')))).toMatchObject({
        width: 336,
        height: 192,
        samples: 129,
        timedSamples: 129,
        movieSeconds: 5.375,
        sampleSeconds: 5.375,
        fullRange: false,
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test(`a healthy start and its first videos say nothing at the terminal but that it is ready [${queue}]`, async () => {
    const id = await submit(service, { prompt: 'x', num_frames: 5, num_steps: 2 })
    await videoWhen(service, id, isEnded)
    await contentOf(service, id)
    expect(service.output().match(/.*\b(warn|error|fatal|warning)\b.*/gi) ?? []).toEqual([])
  })

  test(`whatever size and length is asked for comes out, in three variants [${queue}]`, async () => {
    for (const [size, frames] of [
      ['192x336', 33],
      ['256x256', 1],
      ['1184x496', 5],
    ] as const) {
      const [width, height] = size.split('x').map(Number)
      const id = await submit(service, {
        prompt: `纸船 "1984", 🚤 at ${size}`,
        size,
        num_frames: frames,
        num_steps: 3,
      })
      const video = await videoWhen(service, id, isEnded)
      expect(video).toMatchObject({
        status: 'completed',
        size,
        seconds: String(frames / 24),
        num_frames: frames,
      })
      expect(readMp4Facts(await contentOf(service, id))).toMatchObject({ width, height, samples: frames })
      expect((await contentOf(service, id, 'thumbnail')).toString('latin1', 8, 12)).toBe('WEBP')
      expect([...(await contentOf(service, id, 'spritesheet')).subarray(0, 3)]).toEqual([0xff, 0xd8, 0xff])
    }
  })

  test(`usage.generated_tokens equals the published table [${queue}]`, async () => {
    for (const [size, tokens] of [
      ['336x192', 415_800],
      ['256x256', 422_400],
      ['1024x576', 3_801_600],
      ['768x768', 3_801_600],
    ] as const) {
      const id = await submit(service, { prompt: 'x', size, num_frames: 129, num_steps: 50 })
      const held = (await service.call('GET', `/v1/videos/${id}`)).body
      expect(held.usage).toEqual({ video_tokens: tokens / 50, steps: 50, generated_tokens: tokens })
      // Small videos run to their end; of large ones only the held price is compared, which is what is
      // charged.
      if (tokens < 1_000_000) {
        const done = await videoWhen(service, id, isEnded)
        expect(done.usage).toEqual(held.usage)
        expect(done.cost).toEqual({ ...held.cost, state: 'charged' })
      } else {
        await service.call('POST', `/v1/videos/${id}/cancel`)
      }
    }
  })

  test(`the ledger check is ok after every kind of end [${queue}]`, async () => {
    const credits = async () => (await service.call('GET', '/v1/credits')).body
    const nothingIsHeld = (now: { held: { amount: string }; balance: { amount: string } }) =>
      now.held.amount === '0'
    // The price of a video that another test cancelled while it ran is held until its worker has answered.
    const before = await eventually(credits, nothingIsHeld)
    const completed = await submit(service, { prompt: 'completed', num_frames: 5, num_steps: 5 })
    await videoWhen(service, completed, isEnded)
    const running = await submit(service, {
      prompt: 'cancelled while running',
      num_frames: 5,
      num_steps: 100,
    })
    const waiting = await submit(service, { prompt: 'cancelled while queued', num_frames: 5 })
    const expiring = await submit(service, {
      prompt: 'expires',
      num_frames: 5,
      num_steps: 100,
      execution_expires_after: 10,
    })
    await videoWhen(service, running, (video) => video.progress > 5)
    await service.call('POST', `/v1/videos/${waiting}/cancel`)
    await service.call('POST', `/v1/videos/${running}/cancel`)
    const deleted = await submit(service, { prompt: 'deleted', num_frames: 5, num_steps: 100 })
    await service.call('DELETE', `/v1/videos/${deleted}`)
    const partly = await videoWhen(service, running, isEnded)
    expect(partly).toMatchObject({
      status: 'failed',
      error: { code: 'cancelled' },
      cost: { state: 'charged' },
    })
    expect(partly.usage.steps).toBeLessThan(100)
    expect(partly.usage.generated_tokens).toBe(partly.usage.steps * partly.usage.video_tokens)
    expect(await videoWhen(service, waiting, isEnded)).toMatchObject({
      error: { code: 'cancelled' },
      cost: { amount: '0', state: 'released' },
    })
    const late = await videoWhen(service, expiring, isEnded)
    expect(['expired', undefined]).toContain(late.error?.code)
    let chargedMicros = 0
    for (const id of [completed, running, waiting, expiring, deleted]) {
      // A video that was deleted while it ran is settled when its worker has answered.
      const { transfers, cost } = await eventually(
        () => adminView(service, id),
        (view) => view.transfers.length >= 2,
      )
      expect(transfers.map((transfer: { kind: string }) => transfer.kind)).toEqual(['hold', 'settle'])
      chargedMicros += microsOf(cost.amount)
    }
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
    const after = await credits()
    expect(after.held.amount).toBe('0')
    expect(chargedMicros).toBeGreaterThan(0)
    expect(microsOf(before.balance.amount) - microsOf(after.balance.amount)).toBe(chargedMicros)
  })

  test(`the same seed makes the same bytes [${queue}]`, async () => {
    const make = async (seed: number) => {
      const id = await submit(service, { prompt: 'twice', num_frames: 9, num_steps: 4, seed })
      await videoWhen(service, id, isEnded)
      return contentOf(service, id)
    }
    const [first, second, other] = [await make(7), await make(7), await make(8)]
    expect(first.equals(second)).toBe(true)
    expect(first.equals(other)).toBe(false)
  })
})

const microsOf = (amount: string): number => Math.round(Number(amount) * 1_000_000)
