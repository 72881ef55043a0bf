import { followsRule, frameRuleText } from '../models/frame-rule.ts'
import type { Model, Range } from '../models/model.ts'
import { findSize, formatSize, isByRule, pixelsMax } from '../models/sizes.ts'
import { generatedTokens } from '../token-count.ts'
import type { Entry } from './entry.ts'

/** H.264 halves the colours of each side, so it has whole pairs of pixels. */
const SIDE_MULTIPLE = 2
const SIDE_MIN = 32
/** Far more than any clip has; at the highest price and multiplier they cost what 64 bits hold. */
const TOKENS_MAX = 90_000_000_000n

/** A fault and the field of the entry where it stands, such as `frames.default`. */
export type Fault = readonly [field: string, message: string]

/**
 * What does not go together in a model, and in the classes that its entry names. Prices may also be given for
 * classes of the model it was made from, `like`, that it does not make.
 */
export function modelFaults(model: Model, entry: Entry, like: Model | undefined): Fault[] {
  const ofRule = ruleFaults(model)
  return [
    // By a wrong rule the sizes are wrong too.
    ...(ofRule.length > 0 ? ofRule : [...classFaults(model, entry, like), ...sizeFaults(model)]),
    ...frameFaults(model),
    ...rangeFaults('steps', model.steps),
    ...rangeFaults('guidance', model.guidance),
    ...rangeFaults('guidance_img', model.guidanceImg),
    ...rangeFaults('motion_score', model.motionScore),
    ...modeFaults(model),
    ...tokenFaults(model),
    ...openSoraFaults(model),
  ]
}

/** Everything that is said by class is said of classes that the model has. */
function classFaults(
  { id, resolutions, sizes, firstPriceMicros }: Model,
  entry: Entry,
  like: Model | undefined,
): Fault[] {
  const ofBoth = [...resolutions, ...(like?.resolutions ?? [])]
  const unknown = (field: string, byClass: object | undefined, known: readonly string[]): Fault[] =>
    Object.keys(byClass ?? {})
      .filter((resolution) => !known.includes(resolution))
      .map((resolution) => [
        `${field}.${resolution}`,
        `${id} has no such class; it has ${resolutions.join(', ')}`,
      ])
  const strange = [
    ...unknown('sizes', entry.sizes, resolutions),
    ...unknown('size_rule.classes', entry.size_rule?.classes, resolutions),
    ...unknown('tokens_per_second', entry.tokens_per_second, ofBoth),
    ...unknown('prices', entry.prices, ofBoth),
  ]
  const empty = resolutions
    .filter((resolution) => !sizes.some((size) => size.resolution === resolution))
    .map((resolution): Fault => ['resolutions', `no size of ${id} is in class ${resolution}`])
  const unpriced = resolutions
    .filter((resolution) => firstPriceMicros[resolution] === undefined)
    .map((resolution): Fault => ['prices', `${resolution} is missing`])
  return [...strange, ...empty, ...unpriced]
}

function sizeFaults(model: Model): Fault[] {
  const odd = model.sizes
    .filter((size) => [size.width, size.height].some((side) => side < SIDE_MIN || side % SIDE_MULTIPLE !== 0))
    .map(
      (size): Fault => [
        `sizes.${size.resolution}`,
        `${formatSize(size)}: sides are even and at least ${SIDE_MIN}`,
      ],
    )
  const against = model.sizes
    .filter((size) => model.sizeRule !== null && !isByRule(model.sizeRule, size))
    .map((size): Fault => [`sizes.${size.resolution}`, `${formatSize(size)} is not by the size_rule`])
  const unmade = Object.entries(model.openAiSizes)
    .filter(([, size]) => findSize(model, size) === undefined)
    .map(([asked, size]): Fault => [`openai_sizes.${asked}`, `${model.id} makes no ${size}`])
  return [...odd, ...against, ...unmade]
}

function ruleFaults({ sizeRule, resolutions }: Model): Fault[] {
  if (sizeRule === null) return []
  const { multiple, sideMin, sideMax, classes } = sizeRule
  const faults: Fault[] = []
  if (multiple % SIDE_MULTIPLE !== 0) faults.push(['size_rule.multiple', `is ${multiple}: it must be even`])
  if (sideMin < SIDE_MIN || sideMin > sideMax)
    faults.push(['size_rule.side_min', `is ${sideMin}: from ${SIDE_MIN} to side_max, ${sideMax}`])
  let below = 0
  for (const { resolution, pixelsMin, pixelsMax } of classes) {
    const field = `size_rule.classes.${resolution}`
    if (pixelsMin > pixelsMax)
      faults.push([field, `pixels_min ${pixelsMin} is above pixels_max ${pixelsMax}`])
    if (pixelsMin <= below)
      faults.push([
        field,
        `pixels_min is ${pixelsMin}: it must be above what the class before it has, ${below}`,
      ])
    below = pixelsMax
  }
  for (const resolution of resolutions) {
    if (!classes.some((one) => one.resolution === resolution))
      faults.push(['size_rule.classes', `${resolution} is missing`])
  }
  return faults
}

function frameFaults({ frames }: Model): Fault[] {
  const { multiple, remainder } = frames
  if (remainder >= multiple && multiple > 1)
    return [['frames.remainder', `is ${remainder}: it must be below multiple, ${multiple}`]]
  const strange = (['min', 'max', 'default'] as const)
    .filter((name) => !followsRule(frames, frames[name]))
    .map((name): Fault => [`frames.${name}`, `is ${frames[name]}: it must be ${frameRuleText(frames)}`])
  return [...strange, ...rangeFaults('frames', frames)]
}

function rangeFaults(field: string, range: Range | null): Fault[] {
  if (range === null) return []
  const { min, max } = range
  if (min > max) return [[`${field}.min`, `is ${min}: it must be at most max, ${max}`]]
  if (range.default >= min && range.default <= max) return []
  return [[`${field}.default`, `is ${range.default}: it must be from ${min} to ${max}`]]
}

/** Costs are kept in 64 bits, and tokens are told as numbers of JSON. */
function tokenFaults({ sizes, sizeRule, frames, steps, tokens }: Model): Fault[] {
  if (sizes.length === 0) return []
  const pixels = pixelsMax({ sizes, sizeRule })
  const shape = { width: pixels, height: 1, frames: frames.max }
  const most = generatedTokens({ ...tokens, spatial: 1, patch: [tokens.patch[0], 1, 1] }, shape, steps.max)
  const perToken = BigInt(tokens.spatial ** 2 * tokens.patch[1] * tokens.patch[2])
  if (most / perToken <= TOKENS_MAX) return []
  return [
    ['tokens', `the largest clip has about ${most / perToken} tokens; at most ${TOKENS_MAX} are counted`],
  ]
}

/** What only the runner open-sora knows. */
function openSoraFaults({ stepCache, precision, pipelines }: Model): Fault[] {
  if (pipelines === null) return []
  const said = 'is for models of the runner open-sora, and this one has pipelines'
  return [
    ...(stepCache === null ? [] : [['step_cache', said] as const]),
    ...(precision === null ? [] : [['precision', said] as const]),
  ]
}

function modeFaults({ modes, i2vConditions, pipelines }: Model): Fault[] {
  const faults: Fault[] = []
  const hasI2v = modes.includes('i2v')
  if (hasI2v !== i2vConditions.length > 0) {
    faults.push([
      'i2v_conditions',
      hasI2v ? 'is empty: mode i2v needs one' : 'must be empty without mode i2v',
    ])
  }
  for (const mode of pipelines === null ? [] : modes) {
    if (pipelines?.[mode] === undefined)
      faults.push(['pipelines', `${mode} is missing, which is one of modes`])
  }
  return faults
}
