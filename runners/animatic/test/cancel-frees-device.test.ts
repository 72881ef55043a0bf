import { describe, expect, test } from 'vitest'
import { someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'

describe('cancel', () => {
  test('interrupts the pause of a step, counts only whole steps, and frees the device', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30000' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.send({ type: 'cancel', id: 'v' })
    expect(await runner.reply('cancelled', 'v')).toMatchObject({ step: 0 })
    runner.generate('next', someGeneration())
    await runner.reply('started', 'next')
  })

  test('is ignored after released and for an id that is not known', async () => {
    const runner = await startAnimatic()
    runner.generate('v', someGeneration({ width: 336, height: 192, num_frames: 33 }))
    await runner.reply('released', 'v')
    runner.send({ type: 'cancel', id: 'v' })
    runner.send({ type: 'yield', id: 'v' })
    runner.send({ type: 'cancel', id: 'stranger' })
    await runner.reply('finished', 'v')
    expect(runner.replies.some((reply) => reply.type === 'cancelled' || reply.type === 'yielded')).toBe(false)
  })
})
