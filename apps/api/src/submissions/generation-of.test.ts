import { BUILT_IN_MODELS, FIRST_MODELS } from '@sluice/shared/models/built-in-models'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SluiceError } from '../errors.ts'
import type { CreateRequest } from './create-request.ts'
import { generationOf, withSize } from './generation-of.ts'

const generationBy = (defaultModel: string, fields: Partial<CreateRequest>, seed = 1) =>
  withSize(generationOf({ prompt: 'x', ...fields }, { models: FIRST_MODELS, defaultModel }, seed), null)
const frames = (fields: { num_frames?: number; seconds?: string | number }) =>
  generationBy('animatic', fields).generation.num_frames

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

test('a whole number of seconds is the fewest frames that last so long, also where the model makes nothing as short', () => {
  const [model] = FIRST_MODELS
  if (model === undefined) throw new Error('there is no model')
  const own = { ...model, fps: 24, frames: { multiple: 1, remainder: 0, min: 49, max: 97, default: 49 } }
  const framesOf = (seconds: string) =>
    generationOf({ prompt: 'x', seconds }, { models: [own], defaultModel: own.id }, 1).generation.num_frames
  expect(['1', '2', '3', '4'].map(framesOf)).toEqual([49, 49, 72, 96])
  for (const seconds of ['5', '1.5', '0.0001']) expect(() => framesOf(seconds)).toThrow(SluiceError)
})

test('the seed is the one given, zero included, or the one generated', () => {
  expect(generationBy('animatic', { seed: 0 }, 7).generation.seed).toBe(0)
  expect(generationBy('animatic', {}, 7).generation.seed).toBe(7)
})

test('an alias is the configured default, and the resolution class follows the size', () => {
  for (const { id } of FIRST_MODELS) {
    expect(generationBy(id, { model: 'sora-2' }).generation.model).toBe(id)
    expect(generationBy(id, { size: '1024x576' }).resolution).toBe('768px')
    expect(generationBy(id, {})).toMatchObject({
      resolution: '256px',
      generation: { width: 336, height: 192, mode: 't2v' },
    })
  }
})

test('without a size asked for, a video takes the shape of its input image; with one, it does not', () => {
  const models = { models: FIRST_MODELS, defaultModel: 'animatic' }
  const request = { prompt: 'x', input_reference: 'https://example.com/boat.png' }
  const image = { width: 1080, height: 1920 }
  expect(withSize(generationOf(request, models, 1), image)).toMatchObject({
    resolution: '256px',
    generation: { width: 192, height: 336, mode: 'i2v', i2v_condition: 'head' },
  })
  expect(withSize(generationOf({ ...request, size: '768x768' }, models, 1), image)).toMatchObject({
    resolution: '768px',
    generation: { width: 768, height: 768 },
  })
})

test('a model that makes videos from an image alone asks for one, and needs no mode', () => {
  const offered = { models: BUILT_IN_MODELS, defaultModel: 'hunyuan-video-i2v' }
  expect(() => generationOf({ prompt: 'x' }, offered, 1)).toThrow(/input_reference is missing/)
  expect(() => generationOf({ prompt: 'x', mode: 't2v' }, offered, 1)).toThrow(
    /mode is "t2v": allowed is i2v with model hunyuan-video-i2v/,
  )
  const request = { prompt: 'x', input_reference: 'https://example.com/boat.png' }
  expect(generationOf(request, offered, 1).generation).toMatchObject({ mode: 'i2v', i2v_condition: 'head' })
})
