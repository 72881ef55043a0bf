import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

/**
 * LTX-Video 0.9, 2B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: the defaults of LTXPipeline, and the
 * frame rate of its documentation. The model card asks for sides of multiples of 32, 8k+1 frames up to 257
 * and at most 720x1280.
 */
export const LTX_VIDEO: Model = {
  ...BY_DIFFUSERS,
  id: 'ltx-video',
  ownedBy: 'lightricks',
  description: 'LTX-Video 0.9, 2B parameters, text to video and image to video at 24 frames a second',
  licence: {
    name: 'LTX-Video Open Weights License 0.X',
    text: 'What it makes may be used within the restrictions of use that the licence lists; later versions ask for a paid licence from a revenue on.',
    commercial: 'conditions',
    forbiddenIn: [],
  },
  modes: ['t2v', 'i2v'],
  i2vConditions: ['head'],
  resolutions: ['480p', '720p'],
  sizes: [
    { width: 704, height: 480, resolution: '480p' },
    { width: 480, height: 704, resolution: '480p' },
    { width: 512, height: 512, resolution: '480p' },
    { width: 1216, height: 704, resolution: '720p' },
    { width: 704, height: 1216, resolution: '720p' },
    { width: 896, height: 896, resolution: '720p' },
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
  frames: { multiple: 8, remainder: 1, min: 9, max: 257, default: 161 },
  fps: 24,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 3, min: 0, max: 20 },
  negativePrompt: true,
  tokens: { temporal: 8, spatial: 32, patch: [1, 1, 1] },
  tokensPerSecond: { '480p': 35_900, '720p': 24_400 },
  firstPriceMicros: { '480p': 40_000n, '720p': 60_000n },
  pipelines: { t2v: 'LTXPipeline', i2v: 'LTXImageToVideoPipeline' },
}
