import type { Model } from '../model.ts'

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
  engineModel: null,
} as const satisfies Partial<Model>
