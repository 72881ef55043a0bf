import { MOCHI_1 } from '@sluice/shared/models/built-in/mochi'
import { WAN_2_2_5B } from '@sluice/shared/models/built-in/wan'
import { makesOf } from '@sluice/shared/models/makes'
import { generatedTokens } from '@sluice/shared/token-count'
import { describe, expect, test } from 'vitest'
import { closeWithTest, SpawnedRunner, someGeneration } from '../../../test/support/spawned-animatic.ts'

const wan = { id: WAN_2_2_5B.id, makes: makesOf(WAN_2_2_5B) }
const mochi = { id: MOCHI_1.id, makes: makesOf(MOCHI_1) }

describe('a request is judged, and its tokens counted, by what `load` says that its model makes', () => {
  test('each of two models by its own rules', async () => {
    const runner = closeWithTest(
      new SpawnedRunner({ SLUICE_ANIMATIC_MODELS: 'wan-2.2-5b,mochi-1', SLUICE_ANIMATIC_STEP_MS: '0' }),
    )
    runner.send({ type: 'load', model: wan.id, models: [wan, mochi] })
    expect(await runner.reply('ready')).toMatchObject({
      models: [wan.id, mochi.id],
      modes: ['t2v', 'i2v'],
      limits: { frames_max: 163, pixels_max: 921_600 },
    })
    const { guidance_img: _image, motion_score: _motion, ...plain } = someGeneration({ num_steps: 3 })
    const made = { ...plain, model: wan.id, width: 128, height: 64, num_frames: 9 }
    runner.generate('wan', made)
    expect((await runner.reply('finished', 'wan')).tokens).toBe(
      Number(generatedTokens(WAN_2_2_5B.tokens, { width: 128, height: 64, frames: 9 }, 3)),
    )
    const refusals: [string, object, string][] = [
      // Sides in steps of 32 and 4k+1 frames are of the one model, 6k+1 of the other.
      ['side', { ...made, width: 112 }, 'sides that are multiples of 32'],
      [
        'other-frames',
        { ...made, num_frames: 9, model: mochi.id, width: 848, height: 480 },
        '6k+1 from 7 to 163',
      ],
      [
        'mode',
        { ...made, num_frames: 7, model: mochi.id, width: 848, height: 480, mode: 'i2v' },
        'mode is i2v; allowed is t2v',
      ],
    ]
    for (const [id, request, allowed] of refusals) {
      runner.generate(id, { ...made, ...request })
      const failed = await runner.reply('failed', id)
      expect(failed).toMatchObject({ code: 'bad_input' })
      expect(failed.message).toContain(allowed)
    }
  })
})
