import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

const LICENCE = {
  name: 'Apache-2.0',
  text: 'Apache-2.0: what it makes may be used and sold.',
  commercial: 'yes',
  forbiddenIn: [],
} as const

/**
 * Wan 2.2 TI2V-5B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: scripts/convert_wan_to_diffusers.py says
 * patches and compression, WanPipeline steps and guidance. Frames and the class of 1280x704 are those of the
 * model's own configuration (Wan 2.2, ti2v-5B). Its latent rows and columns are paired, so sides are in steps
 * of 32. With an image it keeps the first frame only (`expand_timesteps`).
 */
export const WAN_2_2_5B: Model = {
  ...BY_DIFFUSERS,
  id: 'wan-2.2-5b',
  ownedBy: 'wan-ai',
  description: 'Wan 2.2 TI2V-5B, 5B parameters, text to video and image to video at 24 frames a second',
  licence: LICENCE,
  modes: ['t2v', 'i2v'],
  i2vConditions: ['head'],
  resolutions: ['480p', '720p'],
  sizes: [
    { width: 832, height: 480, resolution: '480p' },
    { width: 480, height: 832, resolution: '480p' },
    { width: 640, height: 640, resolution: '480p' },
    { width: 1280, height: 704, resolution: '720p' },
    { width: 704, height: 1280, resolution: '720p' },
    { width: 960, height: 960, resolution: '720p' },
  ],
  sizeRule: {
    multiple: 32,
    sideMin: 256,
    sideMax: 1280,
    classes: [
      { resolution: '480p', pixelsMin: 65_536, pixelsMax: 409_600 },
      { resolution: '720p', pixelsMin: 409_601, pixelsMax: 921_600 },
    ],
  },
  frames: { multiple: 4, remainder: 1, min: 5, max: 121, default: 121 },
  fps: 24,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 5, min: 0, max: 20 },
  negativePrompt: true,
  tokens: { temporal: 4, spatial: 16, patch: [1, 2, 2] },
  tokensPerSecond: { '480p': 13_900, '720p': 9_800 },
  firstPriceMicros: { '480p': 100_000n, '720p': 140_000n },
  pipelines: { t2v: 'WanPipeline', i2v: 'WanImageToVideoPipeline' },
}

/**
 * Wan 2.1 T2V-1.3B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: the defaults of WanPipeline, and the
 * lengths and frame rate of its documentation.
 */
export const WAN_2_1_1_3B: Model = {
  ...BY_DIFFUSERS,
  id: 'wan-2.1-1.3b',
  ownedBy: 'wan-ai',
  description: 'Wan 2.1 T2V-1.3B, 1.3B parameters, text to video at 16 frames a second',
  licence: LICENCE,
  modes: ['t2v'],
  i2vConditions: [],
  resolutions: ['480p'],
  sizes: [
    { width: 832, height: 480, resolution: '480p' },
    { width: 480, height: 832, resolution: '480p' },
    { width: 624, height: 624, resolution: '480p' },
  ],
  sizeRule: {
    multiple: 16,
    sideMin: 256,
    sideMax: 1024,
    classes: [{ resolution: '480p', pixelsMin: 65_536, pixelsMax: 409_600 }],
  },
  frames: { multiple: 4, remainder: 1, min: 5, max: 81, default: 81 },
  fps: 16,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 5, min: 0, max: 20 },
  negativePrompt: true,
  tokens: { temporal: 4, spatial: 8, patch: [1, 2, 2] },
  tokensPerSecond: { '480p': 34_100 },
  firstPriceMicros: { '480p': 40_000n },
  pipelines: { t2v: 'WanPipeline' },
}
