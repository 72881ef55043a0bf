import { BUILT_IN_MODELS } from '@sluice/shared/models/built-in-models'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { expect, test } from 'vitest'
import { pacesOf, predictDeviceMs } from './pace.ts'

const catalogue = new Catalogue(BUILT_IN_MODELS)
const gpu = { pool: 'h100x1', device: 'h100' }
const shape = { capability: 'wan-2.2-5b', width: 1280, height: 704, num_frames: 121 }
const video = { ...shape, resolution: '720p', video_tokens: 27_280n }

test('a pool that nobody has measured makes what the model says of its class, and a measured one what was measured', () => {
  const unmeasured = pacesOf([], catalogue)
  // 27,280 x 50 tokens at 9,800 a second, and half a second besides.
  expect(predictDeviceMs(unmeasured, gpu, video, 50)).toBeCloseTo((27_280 * 50 * 1_000) / 9_800 + 500, 6)
  const small = { ...video, resolution: '480p' }
  expect(predictDeviceMs(unmeasured, gpu, small, 50)).toBeCloseTo((27_280 * 50 * 1_000) / 13_900 + 500, 6)
  const measured = pacesOf([{ pool: gpu.pool, ...shape, step_ms: 7, overhead_ms: 11 }], catalogue)
  expect(predictDeviceMs(measured, gpu, video, 50)).toBe(7 * 50 + 11)
})

test('a mode of a model is as fast as the model, and a model or class that says nothing is taken for a slow one', () => {
  const paces = pacesOf([], catalogue)
  const ms = (changes: object) => predictDeviceMs(paces, gpu, { ...video, ...changes }, 1)
  expect(ms({ capability: 'wan-2.2-5b/t2i2v' })).toBe(ms({}))
  const slow = (27_280 * 1_000) / 2_000 + 500
  expect([ms({ capability: 'gone' }), ms({ resolution: '1080p' })]).toEqual([slow, slow])
})
