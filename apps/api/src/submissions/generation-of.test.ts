import { BUILT_IN_MODELS } from '@sluice/shared/model-catalogue'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../errors.ts'
import { generationOf } from './generation-of.ts'

const offer = (defaultModel: string) => ({ models: BUILT_IN_MODELS, defaultModel })
const frames = (fields: { num_frames?: number; seconds?: string | number }) =>
  generationOf({ prompt: 'x', ...fields }, offer('animatic'), 1).generation.num_frames

test('every length a model makes can be asked for by its frames and by its seconds', () => {
  for (let count = 1; count <= 129; count += 4) {
    expect(frames({ num_frames: count })).toBe(count)
    for (const seconds of [count / 24, String(count / 24), (count / 24).toFixed(6)]) {
      expect(frames({ seconds })).toBe(count)
      expect(frames({ seconds, num_frames: count })).toBe(count)
    }
  }
})

test('a number of frames is taken as it is or refused, never rounded', () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer(), fc.integer({ min: -10, max: 200 })), (count) => {
      if (count >= 1 && count <= 129 && count % 4 === 1) expect(frames({ num_frames: count })).toBe(count)
      else expect(() => frames({ num_frames: count })).toThrow(SluiceError)
    }),
  )
})

test('whatever is given as seconds gives frames the model makes, or an error that names the field', () => {
  const seconds = fc.oneof(
    fc.string(),
    fc.double(),
    fc.integer({ min: -3, max: 9 }),
    fc.integer({ min: -3, max: 9 }).map(String),
  )
  fc.assert(
    fc.property(seconds, (given) => {
      let count: number
      try {
        count = frames({ seconds: given })
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_value', param: 'seconds' })
        return
      }
      expect(count % 4).toBe(1)
      expect(count).toBeGreaterThanOrEqual(1)
      expect(count).toBeLessThanOrEqual(129)
      // Never shorter than asked, and by less than two frames longer.
      expect(count / 24 - Number(given)).toBeGreaterThan(-0.001)
      expect(count - Number(given) * 24).toBeLessThan(1.001)
    }),
  )
})

test('the seed is the one given, zero included, or the one drawn', () => {
  expect(generationOf({ prompt: 'x', seed: 0 }, offer('animatic'), 7).generation.seed).toBe(0)
  expect(generationOf({ prompt: 'x' }, offer('animatic'), 7).generation.seed).toBe(7)
})

test('an alias is the configured default, and the resolution class follows the size', () => {
  for (const { id } of BUILT_IN_MODELS) {
    expect(generationOf({ prompt: 'x', model: 'sora-2' }, offer(id), 1).generation.model).toBe(id)
    expect(generationOf({ prompt: 'x', size: '1024x576' }, offer(id), 1).resolution).toBe('768px')
    expect(generationOf({ prompt: 'x' }, offer(id), 1)).toMatchObject({
      resolution: '256px',
      generation: { width: 336, height: 192, mode: 't2v' },
    })
  }
})
