import type { Generation } from '@sluice/shared/generation'
import type { I2vCondition, Mode, Model, Range } from '@sluice/shared/models/model'
import { DEFAULT_MODEL_ALIASES } from '@sluice/shared/models/openai-names'
import { type FrameSize, nearestSize } from '@sluice/shared/models/sizes'
import type { Context } from '../context.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { CreateRequest } from './create-request.ts'
import { framesOf } from './length.ts'
import { DEFAULT_SHAPE, sizeAsked } from './size.ts'

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
  model: Model
  generation: Generation
  resolution: string
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
  const condition = conditionOf(model, mode, request.i2v_condition)
  const size = request.size === undefined ? null : sizeAsked(model, request.size)
  const frames = framesOf(model, request)
  const steps = numberOf(model, model.steps, 'num_steps', request.num_steps)
  const guidance = numberOf(model, model.guidance, 'guidance', request.guidance)
  const guidanceImg = numberOf(model, model.guidanceImg, 'guidance_img', request.guidance_img)
  const motionScore = numberOf(model, model.motionScore, 'motion_score', request.motion_score)
  return {
    model,
    size,
    generation: {
      model: model.id,
      mode,
      prompt: request.prompt,
      negative_prompt: negativePromptOf(model, request.negative_prompt),
      num_frames: frames,
      fps: model.fps,
      num_steps: steps ?? model.steps.default,
      ...(guidance === undefined ? {} : { guidance }),
      ...(guidanceImg === undefined ? {} : { guidance_img: guidanceImg }),
      ...(motionScore === undefined ? {} : { motion_score: motionScore }),
      seed: request.seed ?? seed,
      ...(condition === null ? {} : { i2v_condition: condition }),
    },
  }
}

/** Adds the size: the one asked for, or else the image's shape or 16:9 in the model's cheapest class. */
export function withSize(
  { model, generation, size }: UnsizedGeneration,
  image: { width: number; height: number } | null,
): SizedGeneration {
  const { width, height, resolution } =
    size ?? nearestSize(model, image ?? DEFAULT_SHAPE, model.resolutions[0] ?? '')
  return { model, generation: { ...generation, width, height }, resolution }
}

/** An input image means mode i2v, which needs one; without either it is t2v, if the model makes that. */
function modeOf(model: Model, request: CreateRequest): Mode {
  const hasImage = request.input_reference !== undefined
  const fitting = hasImage || !model.modes.includes('t2v') ? 'i2v' : 't2v'
  const mode = model.modes.find((candidate) => candidate === (request.mode ?? fitting))
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
  return mode
}

/** Where the input image stands; null in the other modes. */
function conditionOf(model: Model, mode: Mode, given: I2vCondition | undefined): I2vCondition | null {
  if (mode !== 'i2v') {
    if (given !== undefined) throw invalidValue('i2v_condition', given, 'none without an input_reference')
    return null
  }
  const [first] = model.i2vConditions
  const condition = given ?? first
  if (condition === undefined || !model.i2vConditions.includes(condition))
    throw invalidValue('i2v_condition', given, `${model.i2vConditions.join(', ')} with model ${model.id}`)
  return condition
}

/** The number given, or the model's default; undefined when the model has none, and none is given. */
function numberOf(
  model: Model,
  range: Range | null,
  field: string,
  given: number | undefined,
): number | undefined {
  if (range === null) {
    if (given === undefined) return undefined
    throw invalidValue(field, given, `none, since model ${model.id} takes no ${field}`)
  }
  const value = given ?? range.default
  if (value >= range.min && value <= range.max) return value
  const allowed = range.min === range.max ? `${range.min} alone` : `${range.min} to ${range.max}`
  throw invalidValue(field, value, `${allowed} with model ${model.id}`)
}

function negativePromptOf(model: Model, given = ''): string {
  if (given !== '' && !model.negativePrompt)
    throw invalidValue('negative_prompt', given, `none, since model ${model.id} takes no negative_prompt`)
  return given
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
