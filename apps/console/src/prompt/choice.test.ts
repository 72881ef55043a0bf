import { expect, test } from 'vitest'
import { choiceOf, shapedLike } from './choice.ts'
import { DEFAULT_SETTINGS, type GenerationSettings } from './generation-settings.ts'
import { resolution, someModel } from './some-model.ts'
import { videoRequest } from './video-request.ts'

const TWO_CLASSES = someModel('two')
/** One landscape size, 6k+1 frames at 30 a second, 8 steps and no guidance. */
const FIXED = someModel('fixed', {
  modes: ['t2v'],
  resolutions: [resolution('480p', ['848x480'])],
  frames: { min: 7, max: 163, fps: 30, multiple: 6, remainder: 1, default: 163 },
  steps: { min: 8, max: 8, default: 8 },
  guidance: null,
})

const requestOf = (settings: Partial<GenerationSettings>, model = TWO_CLASSES) => {
  const all = { ...DEFAULT_SETTINGS, ...settings }
  return videoRequest({ prompt: 'a boat' }, all, choiceOf(all, model))
}

test('without a wish a request says what the model makes by default, and no tier', () => {
  expect(requestOf({})).toEqual({ prompt: 'a boat', size: '336x192', num_frames: 129, num_steps: 50 })
  expect(requestOf({}, FIXED)).toEqual({ prompt: 'a boat', size: '848x480', num_frames: 163, num_steps: 8 })
  expect(requestOf({ tier: 'flex' }).service_tier).toBe('flex')
  expect(videoRequest({ prompt: 'a boat' }, { ...DEFAULT_SETTINGS, seed: ' 42 ' }, null)).toEqual({
    prompt: 'a boat',
    seed: 42,
  })
})

test('each ratio stands once, with the size that is nearest to it, in the orientation wished for', () => {
  const shapes = (orientation: 'landscape' | 'portrait') =>
    choiceOf({ ...DEFAULT_SETTINGS, orientation, resolution: 'large' }, TWO_CLASSES)?.shapes.map(
      ({ name, size }) => `${name} ${size}`,
    )
  expect(shapes('landscape')).toEqual(['16:9 1024x576', '4:3 880x656', '1:1 768x768', '2.39:1 1184x496'])
  expect(shapes('portrait')).toEqual(['16:9 576x1024', '1:1 768x768', '2.39:1 496x1184'])
})

test('a model without the orientation or shape wished for makes the nearest, and cannot be turned', () => {
  expect(choiceOf({ ...DEFAULT_SETTINGS, shape: '2.39:1', orientation: 'portrait' }, FIXED)).toMatchObject({
    size: '848x480',
    shape: '16:9',
    orientation: 'landscape',
    canTurn: false,
  })
  expect(choiceOf(DEFAULT_SETTINGS, TWO_CLASSES)?.canTurn).toBe(true)
})

test('a wish outlives a model that cannot fulfil it: length, steps, class and shape are back with the next', () => {
  const wished = { seconds: 97 / 24, steps: 30, guidance: 9, resolution: 'large', shape: '4:3' }
  const first = requestOf(wished)
  expect(first).toEqual({ prompt: 'a boat', size: '880x656', num_frames: 97, num_steps: 30, guidance: 9 })
  // As near as this model comes: 121 frames at 30 a second are 4.03 s.
  expect(requestOf(wished, FIXED)).toEqual({
    prompt: 'a boat',
    size: '848x480',
    num_frames: 121,
    num_steps: 8,
  })
  expect(requestOf(wished)).toEqual(first)
})

test('an image gives the settings its shape in either class, and goes with the request if the model takes one', () => {
  const shapes = [
    [1920, 1080, '16:9', 'landscape'],
    [1080, 1920, '16:9', 'portrait'],
    [500, 500, '1:1', 'landscape'],
    [4000, 1000, '2.39:1', 'landscape'],
  ] as const
  for (const name of ['small', 'large']) {
    for (const [width, height, shape, orientation] of shapes) {
      expect(
        shapedLike({ ...DEFAULT_SETTINGS, resolution: name }, TWO_CLASSES, { width, height }),
      ).toMatchObject({ shape, orientation, resolution: name })
    }
  }
  const content = { prompt: 'a boat', imageUrl: 'data:image/png;base64,AA' }
  const withImage = videoRequest(content, DEFAULT_SETTINGS, choiceOf(DEFAULT_SETTINGS, TWO_CLASSES))
  expect(withImage.input_reference).toBe('data:image/png;base64,AA')
  expect(videoRequest(content, DEFAULT_SETTINGS, choiceOf(DEFAULT_SETTINGS, FIXED))).not.toHaveProperty(
    'input_reference',
  )
})
