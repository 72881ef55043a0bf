import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseCatalogue, readCatalogue } from './catalogue-file.ts'
import { newId } from './ids.ts'
import { FIRST_MODELS } from './models/built-in-models.ts'
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
