import type { Model } from '../model.ts'
import { bothWays } from '../sizes.ts'

/**
 * Height and width of each class, rounded to multiples of 16 as the pinned Open-Sora commit rounds them.
 * Portrait sizes are these with height and width swapped.
 */
const LANDSCAPE: readonly (readonly [string, number, number])[] = [
  ['256px', 192, 336],
  ['256px', 256, 256],
  ['256px', 160, 384],
  ['256px', 224, 288],
  ['256px', 208, 304],
  ['256px', 176, 352],
  ['768px', 576, 1024],
  ['768px', 768, 768],
  ['768px', 496, 1184],
  ['768px', 656, 880],
  ['768px', 624, 928],
  ['768px', 544, 1072],
  ['768px', 560, 1040],
  ['768px', 592, 992],
]

/** Open-Sora 2.0, commit d0cd5ac. */
export const OPEN_SORA_2: Model = {
  id: 'open-sora-2',
  base: null,
  ownedBy: 'hpcai-tech',
  description: 'Open-Sora 2.0, 11B parameters, text to video and image to video',
  licence: {
    name: 'Apache-2.0, with parts under other terms',
    text: 'Open-Sora 2.0 weights: Apache-2.0. The VAE carries Tencent Hunyuan terms (not for the EU, the UK, South Korea). FLUX.1-dev (mode t2i2v) is non-commercial.',
    commercial: 'conditions',
    forbiddenIn: ['EU', 'GB', 'KR'],
  },
  modes: ['t2v', 'i2v'],
  i2vConditions: ['head', 'tail', 'loop'],
  // The two that it was trained at. A GPU takes about three times as long for a token of 768px.
  resolutions: ['256px', '768px'],
  sizes: LANDSCAPE.flatMap(([resolution, height, width]) => bothWays({ width, height, resolution })),
  sizeRule: null,
  // Nearest but one in shape, so that 1280x720 and 1792x1024 are different sizes.
  openAiSizes: { '1792x1024': '992x592', '1024x1792': '592x992' },
  frames: { multiple: 4, remainder: 1, min: 1, max: 129, default: 129 },
  fps: 24,
  steps: { default: 50, min: 1, max: 100 },
  guidance: { default: 7.5, min: 0, max: 30 },
  guidanceImg: { default: 3, min: 0, max: 30 },
  motionScore: { default: 4, min: 1, max: 7 },
  negativePrompt: true,
  sound: false,
  tokens: { temporal: 4, spatial: 8, patch: [1, 2, 2] },
  // Measured, 50 steps of its longest clip from text (docs/gpu-performance.md): 24.3 s and 674 s. Open-Sora
  // publishes 60 s and 1,656 s.
  tokensPerSecond: { '256px': 17_100, '768px': 5_640 },
  firstPriceMicros: { '256px': 200_000n, '768px': 600_000n },
  pool: null,
  accounts: null,
  weights: {},
  pipelines: null,
  stepCache: null,
  precision: null,
  engineModel: null,
}

/** The same weights and requests at about half the work: approximately what `open-sora-2` makes. */
export const OPEN_SORA_2_FAST: Model = {
  ...OPEN_SORA_2,
  id: 'open-sora-2-fast',
  description:
    'Open-Sora 2.0 with a step cache: most steps reuse what an earlier one computed. Approximately what open-sora-2 makes, for half the price',
  // The library diffusers' default for First Block Cache. Not tuned: that takes the trained weights.
  stepCache: { threshold: 0.05 },
  // If it leaves out half of the steps, whose seconds were measured (docs/gpu-performance.md).
  tokensPerSecond: { '256px': 32_500, '768px': 10_900 },
  firstPriceMicros: { '256px': 100_000n, '768px': 300_000n },
}
