import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

const LICENCE = {
  name: 'Apache-2.0',
  text: 'Apache-2.0: what it makes may be used and sold; not to break laws or to harm.',
  commercial: 'yes',
  forbiddenIn: [],
} as const

/** Wan 2.2 TI2V-5B. */
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
  firstPriceMicros: { '480p': 200_000n, '720p': 600_000n },
  pipelines: { t2v: 'WanPipeline', i2v: 'WanImageToVideoPipeline' },
}

/** Wan 2.1 T2V-1.3B. */
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
  firstPriceMicros: { '480p': 100_000n },
  pipelines: { t2v: 'WanPipeline' },
}
