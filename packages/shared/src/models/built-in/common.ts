import type { Model } from '../model.ts'

/*
 * Tokens per second of these models are estimates; Open-Sora's own were measured. One token costs an H100
 * time for the weights, and time for each other token of the clip that it is compared with. Open-Sora's two
 * published speeds give both for its 11 billion parameters, 106 us and 4.3 ns; another model's are taken to
 * be in proportion to its parameters, for the longest clip of a class. First prices are by Open-Sora's
 * published speeds: about 5 an hour of an H100, which is 2.5 times what an H200 costs at 2 an hour.
 */

/** What is the same of every model that is made by the library `diffusers` and open to all. */
export const BY_DIFFUSERS = {
  base: null,
  openAiSizes: {},
  guidanceImg: null,
  motionScore: null,
  sound: false,
  pool: null,
  accounts: null,
  weights: {},
  stepCache: null,
  precision: null,
  engineModel: null,
} as const satisfies Partial<Model>
