import type { Licence, Model } from '../models/model.ts'
import {
  type FrameSize,
  findSize,
  type MadeSizes,
  parseSize,
  type SizeRule,
  suggestedSizes,
} from '../models/sizes.ts'
import type { Entry } from './entry.ts'

/** What a model that the file describes whole is, where its entry says nothing. */
const WHOLE: Model = {
  id: '',
  base: null,
  ownedBy: 'operator',
  description: '',
  licence: { name: 'as the operator says', text: '', commercial: 'conditions', forbiddenIn: [] },
  modes: [],
  i2vConditions: [],
  resolutions: [],
  sizes: [],
  sizeRule: null,
  openAiSizes: {},
  frames: { multiple: 1, remainder: 0, min: 1, max: 1, default: 1 },
  fps: 1,
  steps: { min: 1, max: 1, default: 1 },
  guidance: null,
  guidanceImg: null,
  motionScore: null,
  negativePrompt: false,
  sound: false,
  tokens: { temporal: 1, spatial: 1, patch: [1, 1, 1] },
  tokensPerSecond: {},
  firstPriceMicros: {},
  pool: null,
  accounts: null,
  weights: {},
  pipelines: null,
  stepCache: null,
  precision: null,
  engineModel: null,
}

/** The model that an entry without a base describes. */
export function wholeModel(entry: Entry): Model {
  return withEntry(WHOLE, entry)
}

/** A built-in model with what the entry changes. */
export function changedModel(builtIn: Model, entry: Entry): Model {
  return { ...withEntry(builtIn, entry), weights: weightsOf(entry, {}) }
}

/** A model made from `base`. Accounts and pool are its own: they are not taken over. */
export function madeFrom(base: Model, entry: Entry): Model {
  const made = withEntry(
    { ...base, ownedBy: 'operator', description: `${entry.id}, made from ${base.id}`, engineModel: null },
    entry,
  )
  return { ...made, base: base.id, weights: weightsOf(entry, base.weights) }
}

function withEntry(like: Model, entry: Entry): Model {
  const modes = entry.modes ?? like.modes
  return {
    id: entry.id,
    base: like.base,
    ownedBy: entry.owned_by ?? like.ownedBy,
    description: entry.description ?? like.description,
    licence: licenceOf(entry, like.licence),
    modes,
    i2vConditions: conditionsOf(entry, like, modes),
    ...sizesOf(entry, like),
    frames: entry.frames ?? like.frames,
    fps: entry.fps ?? like.fps,
    steps: entry.steps ?? like.steps,
    guidance: entry.guidance === undefined ? like.guidance : entry.guidance,
    guidanceImg: entry.guidance_img === undefined ? like.guidanceImg : entry.guidance_img,
    motionScore: entry.motion_score === undefined ? like.motionScore : entry.motion_score,
    negativePrompt: entry.negative_prompt ?? like.negativePrompt,
    sound: entry.sound ?? like.sound,
    tokens: entry.tokens ?? like.tokens,
    tokensPerSecond: { ...like.tokensPerSecond, ...entry.tokens_per_second },
    firstPriceMicros: { ...like.firstPriceMicros, ...entry.prices },
    pool: entry.pool ?? null,
    accounts: entry.accounts === undefined ? null : new Set(entry.accounts),
    weights: weightsOf(entry, {}),
    pipelines: entry.pipelines ?? like.pipelines,
    stepCache: entry.step_cache === undefined ? like.stepCache : entry.step_cache,
    precision: entry.precision === undefined ? like.precision : entry.precision,
    engineModel: entry.engine_model ?? like.engineModel,
  }
}

/** A licence given as text keeps what else is known of the one it replaces. */
function licenceOf({ licence }: Entry, like: Licence): Licence {
  if (licence === undefined) return like
  if (typeof licence === 'string') return { ...like, text: licence }
  const { name, text, commercial, forbidden_in: forbiddenIn } = licence
  return { name, text, commercial, forbiddenIn }
}

function conditionsOf(entry: Entry, like: Model, modes: Model['modes']): Model['i2vConditions'] {
  if (entry.i2v_conditions !== undefined) return entry.i2v_conditions
  if (!modes.includes('i2v')) return []
  return like.i2vConditions.length > 0 ? like.i2vConditions : ['head']
}

/**
 * An entry that names sizes or a rule says all of them, and the other of the two is dropped; one that names
 * only classes keeps those of the model's.
 */
function sizesOf(
  entry: Entry,
  like: Model,
): Pick<Model, 'resolutions' | 'sizes' | 'sizeRule' | 'openAiSizes'> {
  const resolutions = entry.resolutions ?? like.resolutions
  const isWanted = ({ resolution }: { resolution: string }) => resolutions.includes(resolution)
  const isOwn = entry.sizes !== undefined || entry.size_rule !== undefined
  const made: MadeSizes = isOwn
    ? ownSizes(entry, resolutions)
    : {
        sizes: like.sizes.filter(isWanted),
        sizeRule:
          like.sizeRule === null
            ? null
            : { ...like.sizeRule, classes: like.sizeRule.classes.filter(isWanted) },
      }
  const named = Object.entries(like.openAiSizes).filter(([, size]) => findSize(made, size) !== undefined)
  return { resolutions, ...made, openAiSizes: entry.openai_sizes ?? Object.fromEntries(named) }
}

function ownSizes({ sizes = {}, size_rule }: Entry, resolutions: readonly string[]): MadeSizes {
  const listed: FrameSize[] = resolutions.flatMap((resolution) =>
    (sizes[resolution] ?? []).map((text) => ({ ...parseSize(text), resolution })),
  )
  if (size_rule === undefined) return { sizes: listed, sizeRule: null }
  const { multiple, side_min: sideMin, side_max: sideMax, classes } = size_rule
  const rule: SizeRule = {
    multiple,
    sideMin,
    sideMax,
    classes: resolutions.flatMap((resolution) => {
      const bounds = classes[resolution]
      return bounds === undefined
        ? []
        : [{ resolution, pixelsMin: bounds.pixels_min, pixelsMax: bounds.pixels_max }]
    }),
  }
  const suggested = suggestedSizes(rule).filter(
    ({ resolution }) => !listed.some((size) => size.resolution === resolution),
  )
  return { sizes: [...listed, ...suggested], sizeRule: rule }
}

/** The entry's LoRA is added to the entry's own folder or checkpoint or, without one, to `like`'s. */
function weightsOf({ weights = {} }: Entry, like: Model['weights']): Model['weights'] {
  const folder = weights.folder ?? like.folder
  const checkpoint = weights.checkpoint ?? like.checkpoint
  return {
    ...(folder === undefined ? {} : { folder }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(weights.lora === undefined ? {} : { lora: weights.lora }),
  }
}
