import type { Model } from '../model.ts'
import { BY_DIFFUSERS } from './common.ts'

/**
 * HunyuanVideo, 13B, as diffusers 0.40.0.dev0 (commit 58eb52c) has it: the defaults of HunyuanVideoPipeline.
 * Its guidance is a number that it was trained with, so it takes no negative prompt. Image to video has other
 * weights, below.
 */
export const HUNYUAN_VIDEO: Model = {
  ...BY_DIFFUSERS,
  id: 'hunyuan-video',
  ownedBy: 'tencent',
  description: 'HunyuanVideo, 13B parameters, text to video at 24 frames a second',
  licence: {
    name: 'Tencent Hunyuan Community License',
    text: 'Commercial use under conditions, below 100 million monthly users; not for the EU, the UK, South Korea.',
    commercial: 'conditions',
    forbiddenIn: ['EU', 'GB', 'KR'],
  },
  modes: ['t2v'],
  i2vConditions: [],
  resolutions: ['540p', '720p'],
  sizes: [
    { width: 960, height: 544, resolution: '540p' },
    { width: 544, height: 960, resolution: '540p' },
    { width: 720, height: 720, resolution: '540p' },
    { width: 1280, height: 720, resolution: '720p' },
    { width: 720, height: 1280, resolution: '720p' },
    { width: 960, height: 960, resolution: '720p' },
  ],
  sizeRule: {
    multiple: 16,
    sideMin: 256,
    sideMax: 1280,
    classes: [
      { resolution: '540p', pixelsMin: 65_536, pixelsMax: 522_240 },
      { resolution: '720p', pixelsMin: 522_241, pixelsMax: 921_600 },
    ],
  },
  frames: { multiple: 4, remainder: 1, min: 1, max: 129, default: 129 },
  fps: 24,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 6, min: 0, max: 20 },
  negativePrompt: false,
  tokens: { temporal: 4, spatial: 8, patch: [1, 2, 2] },
  tokensPerSecond: { '540p': 2_130, '720p': 1_360 },
  firstPriceMicros: { '540p': 650_000n, '720p': 1_020_000n },
  pipelines: { t2v: 'HunyuanVideoPipeline' },
}

/**
 * HunyuanVideo-I2V, 13B, as diffusers 0.42.1 has it: the defaults of HunyuanVideoImageToVideoPipeline, and
 * the guidance of its example with the weights that put the image in place of the first latent frame. So a
 * clip of one frame would be the image alone.
 */
export const HUNYUAN_VIDEO_I2V: Model = {
  ...HUNYUAN_VIDEO,
  id: 'hunyuan-video-i2v',
  description: 'HunyuanVideo-I2V, 13B parameters, image to video at 24 frames a second',
  modes: ['i2v'],
  i2vConditions: ['head'],
  frames: { ...HUNYUAN_VIDEO.frames, min: 5 },
  pipelines: { i2v: 'HunyuanVideoImageToVideoPipeline' },
}
