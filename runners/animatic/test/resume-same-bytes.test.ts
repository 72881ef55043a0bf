import { readFileSync, writeFileSync } from 'node:fs'
import type { Generation } from '@sluice/shared/generation'
import { ANIMATIC } from '@sluice/shared/models/built-in/animatic'
import { generatedTokens } from '@sluice/shared/token-count'
import { describe, expect, test } from 'vitest'
import { makeVideo, someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'

describe('checkpoint and resume', () => {
  test.each([1, 4, 7])(
    'a video yielded after step %i and resumed elsewhere is the same bytes as one that ran through',
    async (step) => {
      const request = someGeneration()
      const straight = await makeVideo(await startAnimatic(), 'straight', request)
      const first = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30' })
      first.generate('v', request)
      await first.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === step)
      first.send({ type: 'yield', id: 'v' })
      const yielded = await first.reply('yielded', 'v')
      expect(yielded.step).toBeGreaterThanOrEqual(step)
      expect(yielded.step).toBeLessThan(8)
      const second = await startAnimatic()
      const resumed = await makeVideo(second, 'v', request, { step: yielded.step, path: yielded.path ?? '' })
      expect(resumed.equals(straight)).toBe(true)
      const { tokens } = await second.reply('finished', 'v')
      expect(tokens).toBe(
        Number(generatedTokens(ANIMATIC.tokens, { width: 96, height: 64, frames: 9 }, 8 - yielded.step)),
      )
    },
  )

  test('a periodic checkpoint that survives a killed process resumes to the same bytes', async () => {
    const request = someGeneration()
    const straight = await makeVideo(await startAnimatic(), 'straight', request)
    const victim = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30', SLUICE_ANIMATIC_CHECKPOINT_MS: '0' })
    victim.generate('v', request)
    const { step, path } = await victim.reply('checkpoint', 'v', (reply) => reply.step === 3)
    victim.child.kill('SIGKILL')
    await victim.exited
    const heir = await startAnimatic()
    expect((await makeVideo(heir, 'v', request, { step, path })).equals(straight)).toBe(true)
  })

  test('a checkpoint of another generation, a damaged one and a missing one are refused, and the runner stays usable', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30' })
    runner.generate('v', someGeneration())
    await runner.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === 2)
    runner.send({ type: 'yield', id: 'v' })
    const { step, path = '' } = await runner.reply('yielded', 'v')
    const refused = async (id: string, request: Generation, from: string): Promise<string> => {
      runner.generate(id, request, { step, path: from })
      const failed = await runner.reply('failed', id)
      expect(failed).toMatchObject({ code: 'bad_input', retryable: false })
      return failed.message
    }
    expect(await refused('prompt', someGeneration({ prompt: 'another' }), path)).toContain(
      'parameters differ',
    )
    expect(await refused('guidance', someGeneration({ guidance: 7 }), path)).toContain('parameters differ')
    expect(await refused('missing', someGeneration(), `${path}.gone`)).toContain('cannot be read')
    const content = readFileSync(path, 'utf8')
    writeFileSync(path, content.replace(`"step":${step}`, `"step":${step + 1}`))
    expect(await refused('damaged', someGeneration(), path)).toContain('digest')
    writeFileSync(path, content.slice(0, 100))
    expect(await refused('cut', someGeneration(), path)).toContain('not a checkpoint')
    await makeVideo(runner, 'after', someGeneration())
  })

  test('a yield before the first step gives back step 0 and nothing to resume from', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '60000' })
    runner.generate('v', someGeneration())
    await runner.reply('started', 'v')
    runner.send({ type: 'yield', id: 'v' })
    expect(await runner.reply('yielded', 'v')).toEqual({ type: 'yielded', id: 'v', step: 0 })
  })
})
