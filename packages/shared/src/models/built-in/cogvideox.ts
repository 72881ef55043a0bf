import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

/**
 * CogVideoX-5B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: the defaults of CogVideoXPipeline and of
 * its transformer. The model card asks for 8k+1 frames, at most 49. Image to video has other weights.
 */
export const COGVIDEOX_5B: Model = {
  ...BY_DIFFUSERS,
  id: 'cogvideox-5b',
  ownedBy: 'zai-org',
  description: 'CogVideoX-5B, 5B parameters, text to video at 8 frames a second',
  licence: {
    name: 'CogVideoX License',
    text: 'Free for research; commercial use needs a registration with the publisher, up to a million visits a month.',
    commercial: 'conditions',
    forbiddenIn: [],
  },
  modes: ['t2v'],
  i2vConditions: [],
  resolutions: ['480p'],
  sizes: [{ width: 720, height: 480, resolution: '480p' }],
  sizeRule: null,
  frames: { multiple: 8, remainder: 1, min: 9, max: 49, default: 49 },
  fps: 8,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 6, min: 0, max: 20 },
  negativePrompt: true,
  tokens: { temporal: 4, spatial: 8, patch: [1, 2, 2] },
  tokensPerSecond: { '480p': 12_100 },
  firstPriceMicros: { '480p': 110_000n },
  pipelines: { t2v: 'CogVideoXPipeline' },
}
