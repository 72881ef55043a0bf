import { createHash } from 'node:crypto'
import type { Generation } from '@sluice/shared/generation'
import { seededRandom } from '@sluice/shared/seeded-random'

/**
 * Rows of the latent: five ridge lines from far to near, then the x, the y and the phase of the drifting
 * lights.
 */
const LATENT_ROWS = 8
export const LATENT_COLUMNS = 64
export const LATENT_LENGTH = LATENT_ROWS * LATENT_COLUMNS
export const RIDGE_ROWS = 5

/** A number made from words and seed: it chooses the scene, and the latent's noise and target. */
export function conceptSeed(generation: Generation): number {
  const words = JSON.stringify([generation.prompt, generation.negative_prompt, generation.seed])
  return createHash('sha256').update(words).digest().readUInt32LE(0)
}

/** Step 0: pure noise in [-1, 1), a function of prompt and seed alone. */
export function initialLatent(generation: Generation): Float64Array {
  const random = seededRandom(conceptSeed(generation) ^ 0x5bd1e995)
  return Float64Array.from({ length: LATENT_LENGTH }, () => random() * 2 - 1)
}

/**
 * One step of `num_steps`: every value moves towards the shape its row is meant to have and towards its
 * neighbours, so that the noise becomes a skyline. Only the latent, the request and the step go in, so a
 * resumed run takes the same path bit for bit.
 */
export function advanceLatent(latent: Float64Array, generation: Generation): Float64Array {
  const wanted = targetLatent(generation)
  // The same total pull whatever num_steps is: 3 % of the noise is left at the end.
  const pull = 1 - 0.03 ** (1 / generation.num_steps)
  return latent.map((value, index) => {
    const row = Math.floor(index / LATENT_COLUMNS)
    const towards = (wanted[index] ?? 0) - value
    if (row >= RIDGE_ROWS) return value + pull * 0.2 * towards
    const column = index % LATENT_COLUMNS
    const left = latent[row * LATENT_COLUMNS + ((column + LATENT_COLUMNS - 1) % LATENT_COLUMNS)] ?? 0
    const right = latent[row * LATENT_COLUMNS + ((column + 1) % LATENT_COLUMNS)] ?? 0
    return value + pull * towards + pull * 0.3 * ((left + right) / 2 - value)
  })
}

/** Harmonics of falling weight per ridge row (far rows are craggier), noise for the lights. */
function targetLatent(generation: Generation): Float64Array {
  const random = seededRandom(conceptSeed(generation) ^ 0x27d4eb2f)
  const target = new Float64Array(LATENT_LENGTH)
  for (let row = 0; row < RIDGE_ROWS; row++) {
    const fall = 0.78 + row * 0.22
    const waves = Array.from({ length: 14 }, (_, index) => ({
      turns: index + 1,
      height: (0.4 + random() * 0.6) / (index + 1) ** fall,
      phase: random() * Math.PI * 2,
    }))
    const heights = Array.from({ length: LATENT_COLUMNS }, (_, column) =>
      waves.reduce(
        (sum, wave) =>
          sum + wave.height * Math.sin((column / LATENT_COLUMNS) * Math.PI * 2 * wave.turns + wave.phase),
        0,
      ),
    )
    const highest = Math.max(...heights.map(Math.abs))
    heights.forEach((height, column) => {
      target[row * LATENT_COLUMNS + column] = height / highest
    })
  }
  for (let index = RIDGE_ROWS * LATENT_COLUMNS; index < LATENT_LENGTH; index++)
    target[index] = random() * 2 - 1
  return target
}
