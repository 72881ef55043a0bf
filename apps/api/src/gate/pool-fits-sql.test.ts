import { type FittedShape, fitsPool } from '@sluice/gate/pool-fits'
import fc from 'fast-check'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../../../test/support/test-database.ts'
import { FITS_POOL_SQL, fitsPoolValues } from './pool-fits-sql.ts'

const CAPABILITIES = ['animatic', 'animatic/t2i2v', 'open-sora-2', 'open-sora-2/t2i2v']
const SIZES = [
  [192, 336],
  [336, 192],
  [256, 256],
  [1_024, 576],
  [768, 768],
] as const

const limits = fc.record({
  capabilities: fc.subarray(CAPABILITIES, { minLength: 2 }),
  framesMax: fc.constantFrom(5, 65, 97, 129),
  pixelsMax: fc.oneof(
    fc.constantFrom(...SIZES.map(([width, height]) => width * height)),
    fc.integer({ min: 1, max: 600_000 }),
  ),
  sequenceDevices: fc.constantFrom(1, 1, 2, 3, 4, 8),
})
const shape = fc.record({
  capability: fc.constantFrom(...CAPABILITIES),
  size: fc.constantFrom(...SIZES),
  num_frames: fc.integer({ min: 0, max: 32 }).map((quarters) => 4 * quarters + 1),
  video_tokens: fc.oneof(fc.bigInt({ min: 1n, max: 20_000n }), fc.bigInt({ min: 1n, max: 10n ** 12n })),
})

test('PostgreSQL and the forecast agree on which pool can make which shape', async () => {
  await using database = await createTestDatabase()
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  try {
    let fitting = 0
    await fc.assert(
      fc.asyncProperty(limits, fc.array(shape, { minLength: 10, maxLength: 60 }), async (pool, generated) => {
        const shapes = generated.map(
          ({ size: [width, height], ...rest }): FittedShape => ({ width, height, ...rest }),
        )
        const { rows } = await client.query<{ fits: boolean }>(
          `select ${FITS_POOL_SQL} as fits
          from unnest($5::text[], $6::int[], $7::int[], $8::int[], $9::bigint[]) with ordinality
            s(capability, width, height, num_frames, video_tokens, place)
          order by place`,
          [
            ...fitsPoolValues(pool),
            shapes.map(({ capability }) => capability),
            shapes.map(({ width }) => width),
            shapes.map(({ height }) => height),
            shapes.map(({ num_frames }) => num_frames),
            shapes.map(({ video_tokens }) => video_tokens),
          ],
        )
        const expected = shapes.map((one) => fitsPool(pool, one))
        expect(rows.map(({ fits }) => fits)).toEqual(expected)
        fitting += expected.filter((fits) => fits).length
      }),
      { numRuns: 300 },
    )
    expect(fitting).toBeGreaterThan(100)
  } finally {
    await client.end()
  }
})

test('a shape fits by its capability, frames, pixels, and a sequence that divides over the devices', () => {
  const pool = { capabilities: ['animatic'], framesMax: 129, pixelsMax: 64_512, sequenceDevices: 8 }
  const fitting = {
    capability: 'animatic',
    width: 336,
    height: 192,
    num_frames: 129,
    video_tokens: 504n * 8n,
  }
  expect(fitsPool(pool, fitting)).toBe(true)
  expect(fitsPool(pool, { ...fitting, capability: 'animatic/t2i2v' })).toBe(false)
  expect(fitsPool(pool, { ...fitting, num_frames: 133 })).toBe(false)
  expect(fitsPool(pool, { ...fitting, width: 337 })).toBe(false)
  expect(fitsPool(pool, { ...fitting, video_tokens: 504n * 8n + 1n })).toBe(false)
})
