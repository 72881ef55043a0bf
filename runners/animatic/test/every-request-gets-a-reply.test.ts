import type { Generation } from '@sluice/shared/generation'
import { describe, expect, test } from 'vitest'
import {
  closeWithTest,
  makeVideo,
  SpawnedRunner,
  someGeneration,
  startAnimatic,
} from '../../../test/support/spawned-animatic.ts'

describe('requests', () => {
  test('load says what the runner is, and an unknown model is missing', async () => {
    const runner = await startAnimatic()
    expect(runner.replies[0]).toEqual({
      type: 'ready',
      device: 'cpu',
      devices: 1,
      vram_bytes: 0,
      models: ['animatic'],
      modes: ['t2v', 't2i2v', 'i2v'],
      limits: { frames_max: 129, pixels_max: 589_824 },
      switches_at_once: true,
    })
    runner.send({ type: 'load', model: 'open-sora-2' })
    expect(await runner.reply('failed')).toMatchObject({ code: 'model_missing', retryable: false })
    expect((await runner.reply('failed')).id).toBeUndefined()
  })

  test('SLUICE_ANIMATIC_MODELS adds a model it stands in for', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_MODELS: 'animatic,open-sora-2' })
    expect((await runner.reply('ready')).models).toEqual(['animatic', 'open-sora-2'])
    await makeVideo(runner, 'v', someGeneration({ model: 'open-sora-2' }))
  })

  test('load names the models it is to serve, and one it does not stand in for is missing', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash,studio' })
    const weights = [{ id: 'ink-wash', lora: { path: '/nowhere', strength: 1 } }, { id: 'animatic' }]
    runner.send({ type: 'load', model: 'ink-wash', models: weights })
    await runner.reply('ready', undefined, ({ models }) => String(models) === 'ink-wash,animatic')
    runner.generate('v', someGeneration({ model: 'studio' }))
    expect(await runner.reply('failed', 'v')).toMatchObject({ code: 'model_missing' })
    runner.send({ type: 'load', model: 'ink-wash', models: [...weights, { id: 'stranger' }] })
    const failed = await runner.reply('failed', undefined, ({ id }) => id === undefined)
    expect(failed).toMatchObject({ code: 'model_missing', message: expect.stringContaining('"stranger"') })
  })

  test('a switch of models is reported, takes its time once, and makes no difference to the film', async () => {
    const runner = await startAnimatic({
      SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash',
      SLUICE_ANIMATIC_SWITCH_MS: '50',
    })
    const ink = someGeneration({ model: 'ink-wash' })
    const first = await makeVideo(runner, 'a', ink)
    const switched = await runner.reply('finished', 'a')
    expect(switched.timings.load).toBeGreaterThan(0.04)
    expect(
      runner.replies.filter((reply) => reply.type === 'progress' && reply.id === 'a').at(0),
    ).toMatchObject({ phase: 'load' })
    expect((await makeVideo(runner, 'b', ink)).equals(first)).toBe(true)
    expect((await runner.reply('finished', 'b')).timings).not.toHaveProperty('load')
    await makeVideo(runner, 'c', someGeneration())
    expect((await runner.reply('finished', 'c')).timings.load).toBeGreaterThan(0.04)
  })

  test.each(['cancel', 'yield'] as const)(
    'a %s ends a switch at once, before the first step',
    async (wish) => {
      const runner = await startAnimatic({
        SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash',
        SLUICE_ANIMATIC_SWITCH_MS: '600000',
      })
      runner.generate('v', someGeneration({ model: 'ink-wash' }))
      await runner.reply('progress', 'v', ({ phase }) => phase === 'load')
      runner.send({ type: wish, id: 'v' })
      expect(await runner.reply(wish === 'cancel' ? 'cancelled' : 'yielded', 'v')).toMatchObject({ step: 0 })
      await makeVideo(runner, 'w', someGeneration({ model: 'ink-wash' }))
      expect((await runner.reply('finished', 'w')).timings).not.toHaveProperty('load')
    },
  )

  test('generate before load is refused', async () => {
    const runner = closeWithTest(new SpawnedRunner())
    runner.generate('v', someGeneration())
    expect(await runner.reply('failed', 'v')).toMatchObject({ code: 'model_missing' })
  })

  test.each<[string, Partial<Generation>]>([
    ['num_frames', { num_frames: 133 }],
    ['num_frames', { num_frames: 10 }],
    ['width', { width: 97 }],
    ['width', { width: 2048, height: 2048 }],
    ['num_steps', { num_steps: 101 }],
    ['mode', { mode: 'i2v' }],
  ])('a %s that cannot be made is refused by name', async (field, overrides) => {
    const runner = await startAnimatic()
    runner.generate('v', someGeneration(overrides))
    const failed = await runner.reply('failed', 'v')
    expect(failed).toMatchObject({ code: 'bad_input', retryable: false })
    expect(failed.message).toContain(field)
  })

  test('a malformed line is logged, gets a reply when it has an id, and does not end a video in work', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '20' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.sendLine('{"type":')
    runner.sendLine('{"type":"generate","id":"broken"}')
    runner.sendLine('{"type":"dance","id":"v"}')
    expect(await runner.reply('failed', 'broken')).toMatchObject({ code: 'bad_input' })
    await runner.reply('finished', 'v')
    expect(runner.replies.filter((reply) => reply.type === 'failed')).toHaveLength(1)
    expect(runner.stderr).toContain('not JSON')
  })

  test('a reader that is slow gets every line, whole and in order', async () => {
    const runner = await startAnimatic()
    runner.replyStream.pause()
    const count = 6000
    const lines = Array.from({ length: count }, (_, index) => `{"type":"dance","id":"x${index}"}`)
    runner.sendLine(lines.join('\n'))
    // The log is a pipe of its own: it shows that the runner has begun to write into the unread channel.
    await runner.until(() => (runner.stderr.split('\n').length > 200 ? true : undefined), 'log lines')
    runner.replyStream.resume()
    await runner.reply('failed', `x${count - 1}`)
    const ids = runner.replies.flatMap((reply) => (reply.type === 'failed' ? [reply.id] : []))
    expect(ids).toEqual(Array.from({ length: count }, (_, index) => `x${index}`))
  })
})
