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
  const measured = pacesOf(
    [{ pool: gpu.pool, ...shape, step_ms: 7, overhead_ms: 11, upload_ms: null }],
    catalogue,
  )
  expect(predictDeviceMs(measured, gpu, video, 50)).toBe(7 * 50 + 11)
})

test('what was measured of one shape tells more of another of its class than the model does', () => {
  const rows = [
    { pool: gpu.pool, ...shape, step_ms: 700, overhead_ms: 100, upload_ms: 50 },
    // Half as many latent frames: 16 instead of 31.
    { pool: gpu.pool, ...shape, num_frames: 61, step_ms: 400, overhead_ms: 60, upload_ms: 32 },
    { pool: 'another', ...shape, step_ms: 7, overhead_ms: 1, upload_ms: 1 },
    { pool: gpu.pool, ...shape, capability: 'wan-2.1-1.3b', step_ms: 9, overhead_ms: 1, upload_ms: 1 },
  ]
  const ms = (changes: object, among = rows, device = 'h100') =>
    predictDeviceMs(pacesOf(among, catalogue), { ...gpu, device }, { ...video, ...changes }, 1)
  expect(ms({})).toBe(800)
  const upright = { width: 704, height: 1280 }
  expect(ms(upright)).toBe(800)
  // 13 latent frames are nearer to 16.
  expect(ms({ num_frames: 49, video_tokens: 11_440n })).toBeCloseTo((460 * 13) / 16, 6)
  // Another class, pool or model is as if nothing were measured; and a CPU draws as fast at any size.
  const unmeasured = ms(upright, [])
  expect(ms({ ...upright, resolution: '480p' })).toBe(ms({ ...upright, resolution: '480p' }, []))
  expect(ms(upright, rows.slice(2))).toBe(unmeasured)
  expect(ms(upright, rows, 'cpu')).toBe(100 + 500)
})

test('a mode of a model is as fast as the model, and a model or class that says nothing is taken for a slow one', () => {
  const paces = pacesOf([], catalogue)
  const ms = (changes: object) => predictDeviceMs(paces, gpu, { ...video, ...changes }, 1)
  expect(ms({ capability: 'wan-2.2-5b/t2i2v' })).toBe(ms({}))
  const slow = (27_280 * 1_000) / 2_000 + 500
  expect([ms({ capability: 'gone' }), ms({ resolution: '1080p' })]).toEqual([slow, slow])
})
