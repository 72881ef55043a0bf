import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

/**
 * Mochi 1 preview, 10B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: the defaults of MochiPipeline, and
 * the longest clip of its documentation.
 */
export const MOCHI_1: Model = {
  ...BY_DIFFUSERS,
  id: 'mochi-1',
  ownedBy: 'genmo',
  description: 'Mochi 1 preview, 10B parameters, text to video at 30 frames a second',
  licence: {
    name: 'Apache-2.0',
    text: 'Apache-2.0: what it makes may be used and sold.',
    commercial: 'yes',
    forbiddenIn: [],
  },
  modes: ['t2v'],
  i2vConditions: [],
  resolutions: ['480p'],
  sizes: [{ width: 848, height: 480, resolution: '480p' }],
  sizeRule: null,
  frames: { multiple: 6, remainder: 1, min: 7, max: 163, default: 163 },
  fps: 30,
  steps: { default: 64, min: 1, max: 100 },
  guidance: { default: 4.5, min: 0, max: 20 },
  negativePrompt: true,
  tokens: { temporal: 6, spatial: 8, patch: [1, 2, 2] },
  tokensPerSecond: { '480p': 3_680 },
  firstPriceMicros: { '480p': 380_000n },
  pipelines: { t2v: 'MochiPipeline' },
}
