import { capabilityOf } from '@sluice/shared/models/capability'
import { formatSeconds } from '@sluice/shared/models/frame-rule'
import type { Model } from '@sluice/shared/models/model'
import { DEFAULT_MODEL_ALIASES, openAiSizesOf } from '@sluice/shared/models/openai-names'
import { formatSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import type { PublicModel } from '@sluice/shared/public-model'
import { type AccountKey, mayAskFor } from '../../keys/authenticate.ts'
import { type PricesInForce, readPricesInForce } from '../../prices/price-store.ts'
import type { Services } from '../../services.ts'
import { offeredModels } from '../../submissions/generation-of.ts'
import { readCapabilities } from '../../workers/pool-capabilities.ts'

/** When the oldest of the models was released; the field is required by clients and says nothing here. */
const CREATED = 1_741_737_600

/** What a key may ask for, aliases last; an alias only with what it stands for. */
export async function modelsJson({ config, db }: Services, key: AccountKey): Promise<PublicModel[]> {
  const [capabilities, prices] = await Promise.all([
    readCapabilities(db, config),
    readPricesInForce(db, config.currency),
  ])
  const { models, defaultModel } = offeredModels({ config }, key)
  const data = models
    .filter((model) => mayAskFor(key, model.id))
    .map((model) => ({
      ...modelJson(model, prices),
      is_default: model.id === defaultModel,
      is_available: capabilities.has(capabilityOf({ model: model.id, mode: model.modes[0] ?? 't2v' })),
    }))
  const target = data.find((model) => model.is_default)
  const aliases =
    target === undefined
      ? []
      : DEFAULT_MODEL_ALIASES.map((id) => ({ ...target, id, is_default: false, alias_of: target.id }))
  return [...data, ...aliases]
}

function modelJson(model: Model, prices: PricesInForce): Omit<PublicModel, 'is_default' | 'is_available'> {
  const { frames, fps, licence, sizeRule, tokens } = model
  return {
    id: model.id,
    object: 'model',
    created: CREATED,
    owned_by: model.ownedBy,
    description: model.description,
    licence: licence.text,
    licence_terms: {
      name: licence.name,
      commercial: licence.commercial,
      forbidden_in: [...licence.forbiddenIn],
    },
    base: model.base,
    modes: [...model.modes],
    i2v_conditions: [...model.i2vConditions],
    sizes: model.sizes.map(formatSize),
    size_rule:
      sizeRule === null
        ? null
        : { multiple: sizeRule.multiple, side_min: sizeRule.sideMin, side_max: sizeRule.sideMax },
    resolutions: model.resolutions.map((resolution) => resolutionJson(model, resolution, prices)),
    openai_sizes: Object.fromEntries(
      openAiSizesOf(model).map(({ asked, made }) => [asked, formatSize(made)]),
    ),
    frames: { ...frames, fps },
    seconds: {
      min: formatSeconds(frames.min, fps),
      max: formatSeconds(frames.max, fps),
      default: formatSeconds(frames.default, fps),
    },
    steps: { ...model.steps },
    guidance: model.guidance,
    guidance_img: model.guidanceImg,
    motion_score: model.motionScore,
    negative_prompt: model.negativePrompt,
    sound: model.sound,
    tokens: { temporal: tokens.temporal, spatial: tokens.spatial, patch: [...tokens.patch] },
  }
}

function resolutionJson(
  model: Model,
  name: string,
  prices: PricesInForce,
): PublicModel['resolutions'][number] {
  const bounds = model.sizeRule?.classes.find(({ resolution }) => resolution === name)
  const price = prices.of(model.id, name)
  return {
    name,
    sizes: model.sizes.filter(({ resolution }) => resolution === name).map(formatSize),
    pixels_min: bounds?.pixelsMin ?? null,
    pixels_max: bounds?.pixelsMax ?? null,
    price: price === null ? null : { per_million: formatMicros(price), currency: prices.currency },
  }
}
