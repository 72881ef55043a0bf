import { describe, expect, test } from 'vitest'
import { makeVideo, someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'

describe('steps', () => {
  test('each step is reported once, in order, and released comes before the film is drawn', async () => {
    const runner = await startAnimatic()
    await makeVideo(runner, 'v', someGeneration({ num_steps: 12 }))
    const steps = runner.replies.filter((reply) => reply.type === 'progress' && reply.phase === 'denoise')
    expect(steps.map((reply) => reply.type === 'progress' && reply.step)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    )
    const kinds = runner.replies.map((reply) => (reply.type === 'progress' ? reply.phase : reply.type))
    expect([...new Set(kinds)]).toEqual([
      'ready',
      'started',
      'encode',
      'denoise',
      'released',
      'decode',
      'mux',
      'finished',
    ])
  })

  test('the next video runs its steps while the former is drawn and encoded', async () => {
    const runner = await startAnimatic()
    runner.generate('former', someGeneration({ width: 336, height: 192, num_frames: 65 }))
    await runner.reply('released', 'former')
    runner.generate('next', someGeneration())
    await runner.reply('finished', 'former')
    await runner.reply('finished', 'next')
    const place = (type: string, id: string): number =>
      runner.replies.findIndex((reply) => reply.type === type && 'id' in reply && reply.id === id)
    expect(place('released', 'next')).toBeGreaterThan(place('released', 'former'))
    expect(place('released', 'next')).toBeLessThan(place('finished', 'former'))
  })

  test('many videos sent back to back all finish, each in its own folder', async () => {
    const runner = await startAnimatic()
    for (let index = 0; index < 8; index++) {
      runner.generate(`v${index}`, someGeneration({ seed: index }))
      await runner.reply('released', `v${index}`)
    }
    for (let index = 0; index < 8; index++) await runner.reply('finished', `v${index}`)
  })

  test('a second generate while one denoises is refused, and the first is not disturbed', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '20' })
    runner.generate('first', someGeneration())
    await runner.reply('started', 'first')
    runner.generate('second', someGeneration())
    expect(await runner.reply('failed', 'second')).toMatchObject({ code: 'bad_input', retryable: false })
    await runner.reply('finished', 'first')
  })

  test('a film that cannot be written fails as internal and retryable, and the runner makes the next one', async () => {
    const runner = await startAnimatic()
    runner.send({
      type: 'generate',
      id: 'nowhere',
      request: someGeneration(),
      workdir: '/nonexistent/folder',
    })
    expect(await runner.reply('failed', 'nowhere')).toMatchObject({ code: 'internal', retryable: true })
    await makeVideo(runner, 'v', someGeneration())
  })
})
