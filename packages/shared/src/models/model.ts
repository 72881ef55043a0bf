import type { FrameRule } from './frame-rule.ts'
import type { MadeSizes } from './sizes.ts'
import type { TokenRule } from './token-rule.ts'

export const MODES = ['t2v', 't2i2v', 'i2v'] as const
export type Mode = (typeof MODES)[number]

/**
 * Where the image of mode i2v stands: the clip starts with it (`head`), ends with it (`tail`), or both
 * (`loop`). Open-Sora calls them i2v_head, i2v_tail and i2v_loop.
 */
export const I2V_CONDITIONS = ['head', 'tail', 'loop'] as const
export type I2vCondition = (typeof I2V_CONDITIONS)[number]

/** Numbers from `min` to `max`, and the one that a request gets which names none. */
export interface Range {
  default: number
  min: number
  max: number
}

/** Whether what a model makes may be sold: `conditions` means that its licence says when. */
export const COMMERCIAL_USES = ['yes', 'no', 'conditions'] as const
export type CommercialUse = (typeof COMMERCIAL_USES)[number]

export interface Licence {
  /** Its short name, such as an SPDX identifier. */
  name: string
  /** What it allows and forbids, in a sentence or two. */
  text: string
  commercial: CommercialUse
  /** Where it does not allow any use: ISO 3166 codes of countries, and `EU`. */
  forbiddenIn: readonly string[]
}

/** Where a model's weights are on a GPU host, as absolute paths; empty = the runner's own. */
export interface ModelWeights {
  /** A folder with a `model_index.json`, as the library `diffusers` saves a pipeline. */
  folder?: string
  checkpoint?: string
  lora?: { path: string; strength: number }
}

/**
 * What lets a model reuse between two steps what its network did in an earlier one. It approximates, so a
 * model with it is another model than one without, never a setting of it. `threshold`: how much the outcome
 * of the network's first block may have changed, as a share, for the rest to be reused.
 */
export interface StepCache {
  threshold: number
}

/**
 * What a model's transformer can be kept in on the device besides the precision it was published in: weights
 * of 8 bits, and with `fp8-sums` the sums in 8 bits too.
 */
export const PRECISIONS = ['int8', 'fp8', 'fp8-sums'] as const
export type Precision = (typeof PRECISIONS)[number]

/** A model that videos can be made with: all that the service knows of it. */
export interface Model extends MadeSizes {
  id: string
  /** The model it was made from; null for a built-in one and for one that the operator described whole. */
  base: string | null
  ownedBy: string
  description: string
  licence: Licence
  /** The modes a video of it may have. */
  modes: readonly Mode[]
  /** Where the image of mode i2v may stand; the first is the default. Empty without that mode. */
  i2vConditions: readonly I2vCondition[]
  /** Its resolution classes, the cheaper first. Prices are set per class. */
  resolutions: readonly string[]
  /**
   * What is made for a size of the OpenAI Videos API that it does not make; those that are not named here are
   * mapped by rule (`sizeOfOpenAi`).
   */
  openAiSizes: Readonly<Record<string, string>>
  frames: FrameRule
  fps: number
  /** Denoising steps; of a distilled model `min` and `max` are the same. */
  steps: Range
  /** How closely a clip keeps to its prompt; null = the model cannot be told. */
  guidance: Range | null
  /** How closely it keeps to the input image. */
  guidanceImg: Range | null
  /** How much moves. */
  motionScore: Range | null
  /** Whether it can be told what is not to be seen. */
  negativePrompt: boolean
  /** Whether its clips have an audio track. */
  sound: boolean
  tokens: TokenRule
  /**
   * Generated tokens per second of one H100 by class, published or estimated: what a pool that nobody has
   * measured yet is taken to make. A class that is missing is taken for a slow one.
   */
  tokensPerSecond: Readonly<Record<string, number>>
  /** Its price per million generated tokens by class, in micro-units, until the operator sets another. */
  firstPriceMicros: Readonly<Record<string, bigint>>
  /** The only pool that makes its videos; null = every pool that serves it. */
  pool: string | null
  /** The accounts that may use it and see that it exists; null = all. */
  accounts: ReadonlySet<string> | null
  weights: ModelWeights
  /** For the runner `diffusers`: the library's class of pipeline for each mode. */
  pipelines: Readonly<Partial<Record<Mode, string>>> | null
  /** For the runner `open-sora`; null = every step is run in full. */
  stepCache: StepCache | null
  /**
   * For the runner `open-sora`: half the memory for the transformer, and less time with `fp8-sums`; null =
   * its weights as they are. It approximates, so a model with it is another model than one without.
   */
  precision: Precision | null
  /** For the runner `engine`: what the engine calls it; null = the id. */
  engineModel: string | null
}
