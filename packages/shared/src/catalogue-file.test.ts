import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseCatalogue, readCatalogue } from './catalogue-file.ts'
import { newId } from './ids.ts'
import { FIRST_MODELS, findBuiltIn } from './models/built-in-models.ts'
import { capabilitiesOf } from './models/capability.ts'
import { formatSize } from './models/sizes.ts'
import { SettingError, SettingErrors } from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-catalogue-'))
afterAll(() => rmSync(folder, { recursive: true }))

const parse = (...models: object[]) => parseCatalogue('/etc/models.json', JSON.stringify({ models }))

/** The faults for which the file is refused. */
function faultsOf(text: string): string[] {
  try {
    parseCatalogue('/etc/models.json', text)
  } catch (error) {
    if (error instanceof SettingErrors) return error.errors.map((fault) => fault.message)
    if (error instanceof SettingError) return [error.message]
    throw error
  }
  return []
}

test('without a file the catalogue is the built-in models', () => {
  expect(readCatalogue({}).models).toEqual(FIRST_MODELS)
  expect(readCatalogue({ SLUICE_CATALOGUE: ' ' }).models).toEqual(FIRST_MODELS)
})

test('a model of the operator’s own makes what its base makes, under its own name, price, pool and accounts', () => {
  const account = newId('acct')
  const catalogue = parse({
    id: 'ink-wash',
    base: 'open-sora-2',
    pool: 'h100x1',
    accounts: [account],
    prices: { '256px': '0.3' },
    weights: { lora: { path: '/models/ink.safetensors' } },
  })
  const base = catalogue.find('open-sora-2')
  expect(base).toEqual(FIRST_MODELS[0])
  expect(catalogue.find('ink-wash')).toEqual({
    ...base,
    id: 'ink-wash',
    base: 'open-sora-2',
    ownedBy: 'operator',
    description: 'ink-wash, made from open-sora-2',
    pool: 'h100x1',
    accounts: new Set([account]),
    firstPriceMicros: { '256px': 300_000n, '768px': 600_000n },
    weights: { lora: { path: '/models/ink.safetensors', strength: 1 } },
  })
  expect(catalogue.availableTo(account).map(({ id }) => id)).toEqual(['open-sora-2', 'animatic', 'ink-wash'])
  expect(catalogue.availableTo(newId('acct')).map(({ id }) => id)).toEqual(['open-sora-2', 'animatic'])
})

test('an entry of a built-in id changes that model, and what is made from it goes with it', () => {
  const catalogue = parse(
    {
      id: 'open-sora-2',
      modes: ['t2v', 't2i2v'],
      weights: { checkpoint: '/models/base.safetensors' },
      accounts: [],
    },
    {
      id: 'ink-wash',
      base: 'open-sora-2',
      resolutions: ['256px'],
      weights: { lora: { path: '/models/ink.safetensors', strength: 0.5 } },
    },
  )
  const own = catalogue.find('ink-wash')
  expect(own?.modes).toEqual(['t2v', 't2i2v'])
  expect(own?.weights).toEqual({
    checkpoint: '/models/base.safetensors',
    lora: { path: '/models/ink.safetensors', strength: 0.5 },
  })
  expect(own?.sizes.map(formatSize)).toContain('336x192')
  expect(own?.sizes.filter((size) => size.resolution !== '256px')).toEqual([])
  // A base that no account may use can still be the base of a model that accounts use.
  expect(catalogue.availableTo(newId('acct')).map(({ id }) => id)).toEqual(['animatic', 'ink-wash'])
})

test.each([
  ['models', '{}'],
  ['models: ', '{"models": {}}'],
  ['models[0].id', '{"models": [{"id": "Ink Wash", "base": "open-sora-2"}]}'],
  ['models[0].id', '{"models": [{"id": "a/b", "base": "open-sora-2"}]}'],
  ['models[0].id', '{"models": [{"id": "sora-2", "base": "open-sora-2"}]}'],
  ['models[1].id', '{"models": [{"id": "a", "base": "animatic"}, {"id": "a", "base": "animatic"}]}'],
  ['models[0].base', '{"models": [{"id": "a"}]}'],
  ['models[0].base', '{"models": [{"id": "a", "base": "b"}]}'],
  ['models[0].base', '{"models": [{"id": "animatic", "base": "open-sora-2"}]}'],
  ['models[0].modes[0]', '{"models": [{"id": "animatic", "modes": ["v2v"]}]}'],
  ['models[0].modes', '{"models": [{"id": "animatic", "modes": []}]}'],
  ['models[0].prices.256px', '{"models": [{"id": "animatic", "prices": {"256px": "-1"}}]}'],
  ['models[0].prices', '{"models": [{"id": "animatic", "prices": {"512px": "1"}}]}'],
  ['models[0].pool', '{"models": [{"id": "animatic", "pool": "H100"}]}'],
  ['models[0].accounts[0]', '{"models": [{"id": "animatic", "accounts": ["bob"]}]}'],
  [
    'models[0].weights.checkpoint',
    '{"models": [{"id": "animatic", "weights": {"checkpoint": "here.safetensors"}}]}',
  ],
  [
    'models[0].weights.lora.strength',
    '{"models": [{"id": "animatic", "weights": {"lora": {"path": "/a", "strength": "1"}}}]}',
  ],
  ['models[0]', '{"models": [{"id": "animatic", "price": "1"}]}'],
  ['is not JSON', '{"models": ['],
])(
  'a file that is wrong at %s is refused by the name of the setting, the file and the place',
  (place, text) => {
    const [fault, ...more] = faultsOf(text)
    expect(fault).toContain(`SLUICE_CATALOGUE is "/etc/models.json": `)
    expect(fault).toContain(place)
    expect(more).toEqual([])
  },
)

test('a step cache is a trait of a model of its own id, and goes over to what is made from it', () => {
  const catalogue = parse(
    { id: 'open-sora-2-fast', step_cache: { threshold: 0.1 } },
    { id: 'ink-fast', base: 'open-sora-2', step_cache: { threshold: 0.2 } },
    { id: 'ink-faster', base: 'open-sora-2-fast' },
    { id: 'ink', base: 'open-sora-2-fast', step_cache: null },
  )
  expect(catalogue.models.map(({ id, stepCache }) => [id, stepCache?.threshold ?? null])).toEqual([
    ['open-sora-2', null],
    ['animatic', null],
    ['open-sora-2-fast', 0.1],
    ['ink-fast', 0.2],
    ['ink-faster', 0.1],
    ['ink', null],
  ])
})

test('a precision is a trait of a model of its own id, and goes over to what is made from it', () => {
  const catalogue = parse(
    { id: 'open-sora-2-int8', base: 'open-sora-2', precision: 'int8' },
    { id: 'ink', base: 'open-sora-2-fast', precision: 'fp8' },
    { id: 'whole-ink', base: 'open-sora-2-fast', precision: null },
    { id: 'quick-ink', base: 'open-sora-2-fast', precision: 'fp8-sums' },
  )
  expect(catalogue.models.map(({ id, precision }) => [id, precision])).toEqual([
    ['open-sora-2', null],
    ['animatic', null],
    ['open-sora-2-int8', 'int8'],
    ['ink', 'fp8'],
    ['whole-ink', null],
    ['quick-ink', 'fp8-sums'],
  ])
})

test.each([
  [
    { id: 'open-sora-2', precision: 'int8' },
    'open-sora-2 is exact and has none; what is made otherwise has an id of its own, with base open-sora-2',
  ],
  [
    { id: 'wan-int8', base: 'wan-2.2-5b', precision: 'int8' },
    'is for models of the runner open-sora, and this one has pipelines',
  ],
  [{ id: 'ink', base: 'open-sora-2', precision: 'int4' }, 'is "int4": int8 or fp8 or fp8-sums'],
])('a precision of %j is refused', (entry, said) => {
  expect(faultsOf(JSON.stringify({ models: [entry] }))).toEqual([
    `SLUICE_CATALOGUE is "/etc/models.json": models[0].precision: ${said}`,
  ])
})

test.each([
  [
    { id: 'open-sora-2', step_cache: { threshold: 0.1 } },
    'open-sora-2 is exact and has none; what is made otherwise has an id of its own, with base open-sora-2',
  ],
  [
    { id: 'open-sora-2-fast', step_cache: null },
    'open-sora-2-fast has one; what is made otherwise has an id of its own, with base open-sora-2-fast',
  ],
  [
    { id: 'wan-fast', base: 'wan-2.2-5b', step_cache: { threshold: 0.1 } },
    'is for models of the runner open-sora, and this one has pipelines',
  ],
])('a step cache of %j is refused', (entry, said) => {
  expect(faultsOf(JSON.stringify({ models: [entry] }))).toEqual([
    `SLUICE_CATALOGUE is "/etc/models.json": models[0].step_cache: ${said}`,
  ])
})

test.each([
  ['{"models": [{"id": "Ink"}]}', 'models[0].id: is "Ink": 1 to 63 lower-case letters'],
  ['{"model": []}', 'models: is missing: allowed is a list of models'],
  ['[]', 'the file: allowed is an object of $schema, models'],
  [
    '{"models": [{"id": "animatic", "weigths": {}}]}',
    'models[0]: has no field "weigths": allowed is an object of id, base,',
  ],
  [
    '{"models": [{"id": "animatic", "prices": {"256px": 0.3}}]}',
    'models[0].prices.256px: is 0.3: text such as "0.30"',
  ],
  [
    '{"models": [{"id": "animatic", "steps": 8}]}',
    'models[0].steps: is 8: allowed is an object of min, max, default',
  ],
  [
    '{"models": [{"id": "animatic", "weights": {"folder": "models/x"}}]}',
    'models[0].weights.folder: is "models/x": an absolute path',
  ],
  [
    '{"models": [{"id": "ink", "base": "wan-2.2-5B"}]}',
    'models[0].base: wan-2.2-5B is no model that another can be made from: open-sora-2, animatic, open-sora-2-fast,',
  ],
])('a fault of %s says what was given and what is allowed', (text, said) => {
  expect(faultsOf(text)[0]).toContain(`SLUICE_CATALOGUE is "/etc/models.json": ${said}`)
})

/** A model that the file describes whole. */
const WHOLE = {
  id: 'clouds-1',
  description: 'Clouds',
  licence: { name: 'Clouds 1.0', text: 'Not for sale.', commercial: 'no', forbidden_in: ['EU', 'KR'] },
  modes: ['t2v', 'i2v'],
  resolutions: ['small', 'large'],
  size_rule: {
    multiple: 16,
    side_min: 64,
    side_max: 1280,
    classes: {
      small: { pixels_min: 4_096, pixels_max: 230_400 },
      large: { pixels_min: 230_401, pixels_max: 921_600 },
    },
  },
  frames: { multiple: 8, remainder: 0, min: 8, max: 240, default: 120 },
  fps: 30,
  steps: { min: 8, max: 8, default: 8 },
  tokens: { temporal: 8, spatial: 32, patch: [1, 1, 1] },
  prices: { small: '0.05', large: '0.1' },
}

test('a model without a base is described whole, and what it does not say it does not have', () => {
  const model = parse(WHOLE).find('clouds-1')
  expect(model).toEqual({
    id: 'clouds-1',
    base: null,
    ownedBy: 'operator',
    description: 'Clouds',
    licence: { name: 'Clouds 1.0', text: 'Not for sale.', commercial: 'no', forbiddenIn: ['EU', 'KR'] },
    modes: ['t2v', 'i2v'],
    i2vConditions: ['head'],
    resolutions: ['small', 'large'],
    // By the rule, since it lists none.
    sizes: [
      { width: 624, height: 352, resolution: 'small' },
      { width: 352, height: 624, resolution: 'small' },
      { width: 480, height: 480, resolution: 'small' },
      { width: 1280, height: 720, resolution: 'large' },
      { width: 720, height: 1280, resolution: 'large' },
      { width: 960, height: 960, resolution: 'large' },
    ],
    sizeRule: {
      multiple: 16,
      sideMin: 64,
      sideMax: 1280,
      classes: [
        { resolution: 'small', pixelsMin: 4_096, pixelsMax: 230_400 },
        { resolution: 'large', pixelsMin: 230_401, pixelsMax: 921_600 },
      ],
    },
    openAiSizes: {},
    frames: WHOLE.frames,
    fps: 30,
    steps: WHOLE.steps,
    guidance: null,
    guidanceImg: null,
    motionScore: null,
    negativePrompt: false,
    sound: false,
    tokens: WHOLE.tokens,
    tokensPerSecond: {},
    firstPriceMicros: { small: 50_000n, large: 100_000n },
    pool: null,
    accounts: null,
    weights: {},
    pipelines: null,
    stepCache: null,
    precision: null,
    engineModel: null,
  })
})

test('another model can be made from one that is described whole, with less or other than it makes', () => {
  const catalogue = parse(WHOLE, {
    id: 'ink-clouds',
    base: 'clouds-1',
    resolutions: ['small'],
    modes: ['t2v'],
    steps: { min: 4, max: 4, default: 4 },
    guidance: { min: 1, max: 9, default: 3 },
    weights: { folder: '/models/ink' },
    sound: true,
  })
  const whole = catalogue.find('clouds-1')
  expect(catalogue.find('ink-clouds')).toEqual({
    ...whole,
    id: 'ink-clouds',
    base: 'clouds-1',
    description: 'ink-clouds, made from clouds-1',
    modes: ['t2v'],
    i2vConditions: [],
    resolutions: ['small'],
    sizes: whole?.sizes.filter(({ resolution }) => resolution === 'small'),
    sizeRule: { ...whole?.sizeRule, classes: [whole?.sizeRule?.classes[0]] },
    steps: { min: 4, max: 4, default: 4 },
    guidance: { min: 1, max: 9, default: 3 },
    weights: { folder: '/models/ink' },
    sound: true,
  })
})

test('a built-in model that is not offered by itself is, once the file names it or one is made from it', () => {
  expect(parse().models.map(({ id }) => id)).toEqual(['open-sora-2', 'animatic'])
  const named = parse({ id: 'wan-2.2-5b', weights: { folder: '/models/wan' } })
  expect(named.models.map(({ id }) => id)).toEqual(['open-sora-2', 'animatic', 'wan-2.2-5b'])
  expect(named.find('wan-2.2-5b')).toEqual({
    ...findBuiltIn('wan-2.2-5b'),
    weights: { folder: '/models/wan' },
  })
  const madeFrom = parse({ id: 'ink-wan', base: 'wan-2.2-5b', weights: { folder: '/models/wan' } })
  expect(madeFrom.models.map(({ id }) => id)).toEqual(['open-sora-2', 'animatic', 'ink-wan'])
  expect(madeFrom.find('ink-wan')?.pipelines).toEqual(findBuiltIn('wan-2.2-5b')?.pipelines)
})

test.each<[string, object]>([
  ['frames: is missing', { frames: undefined }],
  ['sizes: is missing', { size_rule: undefined }],
  ['prices: is missing', { prices: undefined }],
  ['prices: large is missing', { prices: { small: '1' } }],
  ['prices.large: is "1000000.000001": at most', { prices: { small: '1', large: '1000000.000001' } }],
  ['prices.huge: clouds-1 has no such class', { prices: { ...WHOLE.prices, huge: '1' } }],
  ['tokens_per_second.huge: clouds-1 has no such class', { tokens_per_second: { huge: 1 } }],
  ['sizes.huge: clouds-1 has no such class', { sizes: { huge: ['64x64'] } }],
  ['sizes.small: 200x200 is not by the size_rule', { sizes: { small: ['200x200'] } }],
  [
    'sizes.small: 641x361: sides are even',
    { size_rule: undefined, sizes: { small: ['641x361'], large: ['64x64'] } },
  ],
  [
    'resolutions: no size of clouds-1 is in class large',
    { size_rule: undefined, sizes: { small: ['640x360'] } },
  ],
  ['sizes.small[0]', { sizes: { small: ['640X360'] } }],
  ['openai_sizes.1280x720: clouds-1 makes no 1x1', { openai_sizes: { '1280x720': '1x1' } }],
  ['size_rule.multiple: is 15', { size_rule: { ...WHOLE.size_rule, multiple: 15 } }],
  ['size_rule.side_min: is 2000', { size_rule: { ...WHOLE.size_rule, side_min: 2_000 } }],
  [
    'size_rule.classes.large: pixels_min is 4096',
    {
      size_rule: {
        ...WHOLE.size_rule,
        classes: { ...WHOLE.size_rule.classes, large: { pixels_min: 4_096, pixels_max: 921_600 } },
      },
    },
  ],
  ['frames.default: is 121: it must be 8k', { frames: { ...WHOLE.frames, default: 121 } }],
  ['frames.default: is 248: it must be from 8 to 240', { frames: { ...WHOLE.frames, default: 248 } }],
  ['frames.remainder: is 9', { frames: { ...WHOLE.frames, remainder: 9 } }],
  ['frames.multiple', { frames: { ...WHOLE.frames, multiple: 0 } }],
  ['steps.min: is 9: it must be at most max, 8', { steps: { min: 9, max: 8, default: 8 } }],
  ['steps.default: is 9', { steps: { min: 8, max: 8, default: 9 } }],
  ['guidance.default: is 20: it must be from 0 to 10', { guidance: { min: 0, max: 10, default: 20 } }],
  ['motion_score.min', { motion_score: { min: 0.5, max: 3, default: 2 } }],
  ['i2v_conditions: is empty: mode i2v needs one', { i2v_conditions: [] }],
  ['i2v_conditions: must be empty without mode i2v', { modes: ['t2v'], i2v_conditions: ['head'] }],
  ['pipelines: i2v is missing', { pipelines: { t2v: 'CloudsPipeline' } }],
  ['pipelines.t2v: is "os.system()": the name of a class', { pipelines: { t2v: 'os.system()', i2v: 'B' } }],
  ['weights.folder: is "models/clouds": an absolute path', { weights: { folder: 'models/clouds' } }],
  ['tokens.patch', { tokens: { ...WHOLE.tokens, patch: [1, 2] } }],
  ['licence: text, or an object of name', { licence: { name: 'a' } }],
  ['fps', { fps: 0 }],
  [
    'tokens: the largest clip has about',
    {
      frames: { multiple: 1, remainder: 0, min: 1, max: 100_000, default: 1 },
      steps: { min: 1, max: 1_000, default: 1 },
      tokens: { temporal: 1, spatial: 1, patch: [1, 1, 1] },
      size_rule: {
        ...WHOLE.size_rule,
        side_max: 9_999,
        classes: { ...WHOLE.size_rule.classes, large: { pixels_min: 230_401, pixels_max: 99_980_001 } },
      },
    },
  ],
  ['resolutions[0]: is "constructor": another name than constructor', { resolutions: ['constructor'] }],
])('a whole model that is wrong at %s is refused, by that place alone', (place, change) => {
  const faults = faultsOf(JSON.stringify({ models: [{ ...WHOLE, ...change }] }))
  expect(
    faults.map((fault) => fault.replace('SLUICE_CATALOGUE is "/etc/models.json": models[0].', '')),
  ).toEqual([expect.stringContaining(place)])
  expect(faults[0]).toContain(`models[0].${place}`)
})

test('a model is made from a built-in or a whole one, never from one that has a base itself', () => {
  const middle = { id: 'ink', base: 'clouds-1' }
  expect(faultsOf(JSON.stringify({ models: [WHOLE, middle, { id: 'pen', base: 'ink' }] }))).toEqual([
    expect.stringContaining('models[2].base: ink is no model that another can be made from: open-sora-2,'),
  ])
})

test('all faults of a file are named at once, and a missing file by its path', () => {
  expect(faultsOf('{"models": [{"id": "A"}, {"id": "b", "pool": ""}]}')).toHaveLength(2)
  expect(() => readCatalogue({ SLUICE_CATALOGUE: join(folder, 'none.json') })).toThrow(
    /SLUICE_CATALOGUE is ".*none\.json": cannot be read/,
  )
  writeFileSync(join(folder, 'models.json'), '{"models": []}')
  expect(readCatalogue({ SLUICE_CATALOGUE: join(folder, 'models.json') }).models).toEqual(FIRST_MODELS)
})

test('a capability is a model, and for mode t2i2v the mode as well', () => {
  expect(capabilitiesOf(['a', 'b'], ['t2v', 'i2v'])).toEqual(['a', 'b'])
  expect(capabilitiesOf(['a'], ['t2v', 't2i2v', 'i2v'])).toEqual(['a', 'a/t2i2v'])
})
