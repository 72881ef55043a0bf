/**
 * The resolution classes that Open-Sora 2.0 was trained at. Prices are set per class, since a GPU takes about
 * three times as long for a token of 768px as for one of 256px.
 */
export const RESOLUTION_CLASSES = ['256px', '768px'] as const
export type ResolutionClass = (typeof RESOLUTION_CLASSES)[number]

export const MODES = ['t2v', 't2i2v', 'i2v'] as const
export type Mode = (typeof MODES)[number]

/**
 * Where the image of mode i2v stands: the clip starts with it (`head`), ends with it (`tail`), or both
 * (`loop`). Open-Sora calls them i2v_head, i2v_tail and i2v_loop.
 */
export const I2V_CONDITIONS = ['head', 'tail', 'loop'] as const
export type I2vCondition = (typeof I2V_CONDITIONS)[number]

export interface FrameSize {
  width: number
  height: number
  resolution: ResolutionClass
}

/** A model that videos can be made with. */
export interface Model {
  id: string
  /** The built-in model it was made from; null for a built-in one. */
  base: string | null
  ownedBy: string
  description: string
  licence: string
  /** The modes a video of it may have. */
  modes: readonly Mode[]
  sizes: readonly FrameSize[]
  /** Frames are 4k+1 within these bounds. */
  framesMin: number
  framesMax: number
  stepsMin: number
  stepsMax: number
  fps: number
  /**
   * Its price per million generated tokens, in micro-units, until the operator sets another. Null = the price
   * that a new installation sets for every model.
   */
  firstPriceMicros: Readonly<Partial<Record<ResolutionClass, bigint>>> | null
  /** The only pool that makes its videos; null = every pool that serves it. */
  pool: string | null
  /** The accounts that may use it and see that it exists; null = all. */
  accounts: ReadonlySet<string> | null
  /** Where its weights are on a GPU host, as absolute paths; empty = the base model's weights. */
  weights: { checkpoint?: string; lora?: { path: string; strength: number } }
}

/**
 * Height and width of each class, rounded to multiples of 16 as the pinned Open-Sora commit rounds them.
 * Portrait sizes are these with height and width swapped.
 */
const LANDSCAPE: readonly (readonly [ResolutionClass, number, number])[] = [
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

const OPEN_SORA_SIZES: readonly FrameSize[] = LANDSCAPE.flatMap(([resolution, height, width]) =>
  width === height
    ? [{ width, height, resolution }]
    : [
        { width, height, resolution },
        { width: height, height: width, resolution },
      ],
)

const OPEN_TO_ALL = { base: null, firstPriceMicros: null, pool: null, accounts: null, weights: {} } as const
const OPEN_SORA_LIMITS = {
  sizes: OPEN_SORA_SIZES,
  framesMin: 1,
  framesMax: 129,
  stepsMin: 1,
  stepsMax: 100,
  fps: 24,
} as const

/**
 * The models of a service without a catalogue file. `animatic` takes the same requests as `open-sora-2`, and
 * needs neither weights nor a GPU.
 */
export const BUILT_IN_MODELS: readonly Model[] = [
  {
    id: 'open-sora-2',
    ownedBy: 'hpcai-tech',
    description: 'Open-Sora 2.0, 11B parameters, text to video and image to video',
    licence:
      'Open-Sora 2.0 weights: Apache-2.0. The VAE carries Tencent Hunyuan terms (not for the EU, the UK, South Korea). FLUX.1-dev (mode t2i2v) is non-commercial.',
    modes: ['t2v', 'i2v'],
    ...OPEN_SORA_LIMITS,
    ...OPEN_TO_ALL,
  },
  {
    id: 'animatic',
    ownedBy: 'sluice',
    description:
      'An animated title card of the prompt. No model runs; real H.264 of the size and length asked for.',
    licence: 'Apache-2.0',
    modes: ['t2v', 'i2v'],
    ...OPEN_SORA_LIMITS,
    ...OPEN_TO_ALL,
  },
]

/** The built-in model with that id, or undefined. */
export function findBuiltIn(id: string): Model | undefined {
  return BUILT_IN_MODELS.find((model) => model.id === id)
}

/** Names from the OpenAI Videos API that stand for the configured default model. */
export const DEFAULT_MODEL_ALIASES: readonly string[] = [
  'sora-2',
  'sora-2-pro',
  'sora-2-2025-10-06',
  'sora-2-2025-12-08',
  'sora-2-pro-2025-10-06',
]

/** For each size of the OpenAI Videos API, the size that is made for it: nearly the same aspect ratio. */
export const OPENAI_SIZES: Readonly<Record<string, string>> = {
  '1280x720': '1024x576',
  '720x1280': '576x1024',
  '1792x1024': '992x592',
  '1024x1792': '592x992',
}

/** The models of one service: the built-in ones, unless the operator changed them, and the operator's own. */
export class Catalogue {
  readonly models: readonly Model[]

  constructor(models: readonly Model[] = BUILT_IN_MODELS) {
    this.models = models
  }

  /** The model with that id. The caller, which knows the default model, resolves aliases. */
  find(id: string): Model | undefined {
    return this.models.find((model) => model.id === id)
  }

  /** The models that an account may use. For that account the others do not exist. */
  availableTo(accountId: string): readonly Model[] {
    return this.models.filter((model) => model.accounts === null || model.accounts.has(accountId))
  }
}

/**
 * What a worker must serve to make a video: its model and, for mode t2i2v, the image model as well, which not
 * every worker of the model has. The database computes the same for each video (column video.capability).
 */
export function capabilityOf(video: { model: string; mode: Mode }): string {
  return video.mode === 't2i2v' ? `${video.model}/t2i2v` : video.model
}

/** Every capability of these models in these modes. */
export function capabilitiesOf(models: readonly string[], modes: readonly Mode[]): string[] {
  return [...new Set(models.flatMap((model) => modes.map((mode) => capabilityOf({ model, mode }))))]
}

/**
 * The model's size for a text such as `"336x192"` or a size of OpenAI's; undefined when the model does not
 * make it.
 */
export function findSize(model: Model, text: string): FrameSize | undefined {
  const wanted = OPENAI_SIZES[text] ?? text
  return model.sizes.find((size) => formatSize(size) === wanted)
}

/** The resolution classes of a model's sizes, the smaller first. */
export function resolutionsOf(model: Model): ResolutionClass[] {
  return RESOLUTION_CLASSES.filter((resolution) => model.sizes.some((size) => size.resolution === resolution))
}

/**
 * The model's size of that class whose aspect ratio is nearest to the image's, so that least of it is
 * cropped. Throws RangeError when the model has no size of the class.
 */
export function nearestSize(
  model: Model,
  image: { width: number; height: number },
  resolution: ResolutionClass,
): FrameSize {
  const distance = (size: FrameSize) =>
    Math.abs(Math.log((size.width / size.height) * (image.height / image.width)))
  const sizes = model.sizes.filter((size) => size.resolution === resolution)
  const [first] = sizes
  if (first === undefined) throw new RangeError(`model ${model.id} makes no ${resolution} video`)
  return sizes.reduce((nearest, size) => (distance(size) < distance(nearest) ? size : nearest), first)
}

/** `{width: 336, height: 192}` -> `"336x192"`. */
export function formatSize(size: { width: number; height: number }): string {
  return `${size.width}x${size.height}`
}

/**
 * The length in seconds as the shortest decimal string of the same number: 129 frames at 24 fps -> `"5.375"`.
 */
export function formatSeconds(frames: number, fps: number): string {
  return String(frames / fps)
}
