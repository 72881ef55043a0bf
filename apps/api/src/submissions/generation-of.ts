import type { Generation } from '@sluice/shared/generation'
import {
  DEFAULT_MODEL_ALIASES,
  type FrameSize,
  findSize,
  formatSeconds,
  formatSize,
  type Mode,
  type Model,
  nearestSize,
  OPENAI_SIZES,
  type ResolutionClass,
  resolutionsOf,
} from '@sluice/shared/model-catalogue'
import type { Context } from '../context.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { CreateRequest } from './create-request.ts'

const DEFAULTS = { num_frames: 129, num_steps: 50, guidance: 7.5, guidance_img: 3, motion_score: 4 } as const
const DEFAULT_SHAPE = { width: 16, height: 9 }

/** The models that an account may ask for, and the one that a request gets which names none. */
export interface OfferedModels {
  models: readonly Model[]
  defaultModel: string
}

/**
 * The models that the account of this key may ask for. Which of them the key may not is checked by
 * `requireModel`.
 */
export function offeredModels(
  { config }: Pick<Context, 'config'>,
  key: Pick<AccountKey, 'accountId'>,
): OfferedModels {
  return { models: config.catalogue.availableTo(key.accountId), defaultModel: config.defaultModel }
}

/** What will be generated, and the class that its size is priced in. */
export interface SizedGeneration {
  generation: Generation
  resolution: ResolutionClass
}

/** What will be generated, but for its size: without one asked for, that depends on the input image. */
export interface UnsizedGeneration {
  model: Model
  generation: Omit<Generation, 'width' | 'height'>
  /** The size asked for; null when the request names none. */
  size: FrameSize | null
}

/**
 * What a request asks for: defaults filled in, aliases and sizes mapped, everything checked against what the
 * model can make. Whether there is an input image counts here; the image itself is not needed. `seed` is used
 * when the request names none. Throws SluiceError naming the field, what was given and what is allowed.
 */
export function generationOf(
  request: CreateRequest,
  offered: OfferedModels,
  seed: number,
): UnsizedGeneration {
  const model = modelOf(request.model, offered)
  const mode = modeOf(model, request)
  const size = sizeOf(model, request.size)
  const frames = framesOf(model, request)
  const steps = request.num_steps ?? DEFAULTS.num_steps
  if (steps < model.stepsMin || steps > model.stepsMax) {
    throw invalidValue('num_steps', steps, `${model.stepsMin} to ${model.stepsMax}`)
  }
  return {
    model,
    size,
    generation: {
      model: model.id,
      mode,
      prompt: request.prompt,
      negative_prompt: request.negative_prompt ?? '',
      num_frames: frames,
      fps: model.fps,
      num_steps: steps,
      guidance: request.guidance ?? DEFAULTS.guidance,
      guidance_img: request.guidance_img ?? DEFAULTS.guidance_img,
      motion_score: request.motion_score ?? DEFAULTS.motion_score,
      seed: request.seed ?? seed,
      ...(mode === 'i2v' ? { i2v_condition: request.i2v_condition ?? 'head' } : {}),
    },
  }
}

/** Adds the size: the one asked for, or else the image's shape or 16:9 in the model's smaller class. */
export function withSize(
  { model, generation, size }: UnsizedGeneration,
  image: { width: number; height: number } | null,
): SizedGeneration {
  const { width, height, resolution } =
    size ?? nearestSize(model, image ?? DEFAULT_SHAPE, resolutionsOf(model)[0] ?? '256px')
  return { generation: { ...generation, width, height }, resolution }
}

/** An input image means mode i2v, and that mode needs one. */
function modeOf(model: Model, request: CreateRequest): Mode {
  const hasImage = request.input_reference !== undefined
  const mode = model.modes.find((candidate) => candidate === (request.mode ?? (hasImage ? 'i2v' : 't2v')))
  if (mode === undefined)
    throw invalidValue('mode', request.mode, `${model.modes.join(', ')} with model ${model.id}`)
  if (hasImage && mode !== 'i2v')
    throw invalidValue('mode', request.mode, 'i2v, since there is an input_reference')
  if (mode === 'i2v' && !hasImage) {
    throw new SluiceError(
      'missing_parameter',
      'input_reference is missing: mode i2v needs an image.',
      'input_reference',
    )
  }
  if (mode !== 'i2v' && request.i2v_condition !== undefined) {
    throw invalidValue('i2v_condition', request.i2v_condition, 'none without an input_reference')
  }
  return mode
}

function modelOf(given: string | undefined, { models, defaultModel }: OfferedModels): Model {
  const id = given === undefined || DEFAULT_MODEL_ALIASES.includes(given) ? defaultModel : given
  const model = models.find((offered) => offered.id === id)
  if (model === undefined) {
    throw invalidValue(
      'model',
      given,
      [...models.map((offered) => offered.id), ...DEFAULT_MODEL_ALIASES].join(', '),
    )
  }
  return model
}

function sizeOf(model: Model, given: string | undefined): FrameSize | null {
  if (given === undefined) return null
  const size = findSize(model, given)
  if (size === undefined) throw invalidValue('size', given, sizesNear(model, given))
  return size
}

/** The sizes nearest to what was asked for, and where the others are listed. */
function sizesNear(model: Model, given: string): string {
  const [, width, height] = /^(\d{1,5})\D(\d{1,5})$/.exec(given) ?? []
  const shape = {
    width: Number(width) || DEFAULT_SHAPE.width,
    height: Number(height) || DEFAULT_SHAPE.height,
  }
  const near = resolutionsOf(model).map((resolution) => formatSize(nearestSize(model, shape, resolution)))
  const openAi = Object.keys(OPENAI_SIZES).filter((size) => findSize(model, size) !== undefined)
  const others = `any of the ${model.sizes.length} that GET /v1/models/${model.id} lists`
  return `${[...near, ...openAi].join(', ')}, or ${others}`
}

/**
 * Frames from `num_frames`, or from `seconds`: a real length such as "5.375" means those frames, a whole
 * number n means 24n+1 frames (the model makes 4k+1).
 */
function framesOf(model: Model, request: CreateRequest): number {
  const fromSeconds = request.seconds === undefined ? undefined : framesOfSeconds(model, request.seconds)
  const frames = request.num_frames ?? fromSeconds ?? DEFAULTS.num_frames
  if ((frames - 1) % 4 !== 0 || frames < model.framesMin || frames > model.framesMax) {
    throw invalidValue(
      'num_frames',
      frames,
      `4k+1 from ${model.framesMin} to ${model.framesMax}, such as ${nearestFrames(model, frames)}`,
    )
  }
  if (fromSeconds !== undefined && fromSeconds !== frames) {
    throw invalidValue(
      'seconds',
      request.seconds,
      `${formatSeconds(frames, model.fps)}, since num_frames is ${frames}; give one of them`,
    )
  }
  return frames
}

function framesOfSeconds(model: Model, given: string | number): number {
  const seconds =
    typeof given === 'number' ? given : /^\d{1,6}(\.\d{1,20})?$/.test(given) ? Number(given) : Number.NaN
  const exact = Math.round(seconds * model.fps)
  const isExact = exact > 0 && Math.abs(seconds * model.fps - exact) < 0.001 && (exact - 1) % 4 === 0
  const frames = isExact
    ? exact
    : Number.isInteger(seconds) && seconds > 0
      ? seconds * model.fps + 1
      : Number.NaN
  if (!Number.isInteger(frames) || frames < model.framesMin || frames > model.framesMax) {
    const wholeMax = Math.floor((model.framesMax - 1) / model.fps)
    const longest = formatSeconds(model.framesMax, model.fps)
    throw invalidValue(
      'seconds',
      given,
      `a whole number from 1 to ${wholeMax}, or an exact length of 4k+1 frames up to ${longest}`,
    )
  }
  return frames
}

function nearestFrames(model: Model, frames: number): number {
  const nearest = Math.round((frames - 1) / 4) * 4 + 1
  return Math.min(Math.max(nearest, model.framesMin), model.framesMax)
}
