import { expect, test } from 'vitest'
import {
  chosenSize,
  DEFAULT_SETTINGS,
  ORIENTATIONS,
  RESOLUTION_CLASSES,
  SHAPES,
  seedFault,
  shapedLike,
  videoRequest,
} from './generation-settings.ts'

test('every shape, orientation and resolution on the page is a size the model makes', () => {
  for (const shape of SHAPES) {
    for (const resolution of RESOLUTION_CLASSES) {
      for (const orientation of ORIENTATIONS) {
        const size = chosenSize({ shape: shape.name, resolution, orientation })
        expect(size.resolution).toBe(resolution)
        expect(size.width >= size.height).toBe(orientation === 'landscape' || shape.name === '1:1')
      }
    }
  }
})

test('the defaults are those of the API, and only another tier is named', () => {
  expect(videoRequest('a boat', DEFAULT_SETTINGS)).toEqual({
    prompt: 'a boat',
    size: '336x192',
    num_frames: 129,
    num_steps: 50,
  })
  expect(videoRequest('a boat', { ...DEFAULT_SETTINGS, tier: 'flex' }).service_tier).toBe('flex')
})

test('a seed that is not a whole number is refused before it is sent', () => {
  expect(seedFault('')).toBeNull()
  expect(seedFault(' 42 ')).toBeNull()
  for (const seed of ['-1', '1.5', 'x', '99999999999999999999']) expect(seedFault(seed)).toContain(seed)
  expect(videoRequest('a boat', { ...DEFAULT_SETTINGS, seed: ' 42 ' }).seed).toBe(42)
})

test('an image gives the settings its shape, at either resolution, and goes with the request', () => {
  const shapes = [
    [1920, 1080, '16:9', 'landscape'],
    [1080, 1920, '16:9', 'portrait'],
    [3000, 2000, '3:2', 'landscape'],
    [600, 800, '4:3', 'portrait'],
    [500, 500, '1:1', 'landscape'],
    [4000, 1000, '2.39:1', 'landscape'],
  ] as const
  for (const resolution of ['256px', '768px'] as const) {
    for (const [width, height, shape, orientation] of shapes) {
      expect(shapedLike({ ...DEFAULT_SETTINGS, resolution }, { width, height })).toMatchObject({
        shape,
        orientation,
        resolution,
      })
    }
  }
  expect(videoRequest('a boat', DEFAULT_SETTINGS, 'data:image/png;base64,AA')).toMatchObject({
    input_reference: 'data:image/png;base64,AA',
  })
})
