import { describe, expect, test } from 'vitest'
import { FIRST_MODELS } from './built-in-models.ts'
import { Catalogue } from './catalogue.ts'
import { formatSeconds } from './frame-rule.ts'
import { sizeOfOpenAi } from './openai-names.ts'
import { findSize, formatSize } from './sizes.ts'

/** Height x width by aspect ratio, as the pinned Open-Sora rounds them. */
const TABLE = {
  '256px': ['192x336', '256x256', '160x384', '224x288', '208x304', '176x352', '192x336', '192x336'],
  '768px': ['576x1024', '768x768', '496x1184', '656x880', '624x928', '544x1072', '560x1040', '592x992'],
} as const

const OPENAI_SIZES = {
  '1280x720': '1024x576',
  '720x1280': '576x1024',
  '1792x1024': '992x592',
  '1024x1792': '592x992',
}

const catalogue = new Catalogue()

describe.each(FIRST_MODELS)('$id', (model) => {
  test('makes the sizes of the table and their transposes, and no others', () => {
    for (const [resolution, sizes] of Object.entries(TABLE)) {
      const both = new Set(sizes.flatMap((size) => [size, size.split('x').reverse().join('x')]))
      const made = model.sizes.filter((size) => size.resolution === resolution).map(formatSize)
      expect(made.toSorted()).toEqual([...both].sort())
    }
  })

  test('makes whole latent blocks: both sides are multiples of 16', () => {
    for (const { width, height } of model.sizes) expect([width % 16, height % 16]).toEqual([0, 0])
  })

  test('finds each of its sizes by name, OpenAI’s by their shape, and nothing else', () => {
    for (const size of model.sizes) expect(findSize(model, formatSize(size))).toEqual(size)
    for (const [asked, made] of Object.entries(OPENAI_SIZES)) {
      const size = sizeOfOpenAi(model, asked)
      expect(size === undefined ? null : formatSize(size)).toBe(made)
      const [width = 0, height = 0] = asked.split('x').map(Number)
      // The same aspect ratio within 5 %.
      expect(Math.abs((size?.width ?? 0) / (size?.height ?? 1) / (width / height) - 1)).toBeLessThan(0.05)
    }
    for (const text of [
      '',
      '336',
      '336x',
      'x192',
      '336X192',
      '336x192 ',
      '0336x192',
      'constructor',
      '__proto__',
    ]) {
      expect(findSize(model, text)).toBeUndefined()
      expect(sizeOfOpenAi(model, text)).toBeUndefined()
    }
  })

  test('says its licence', () => {
    expect(model.licence.text).not.toBe('')
    expect(catalogue.find(model.id)).toBe(model)
  })
})

test('a name of the prototype is no model', () => {
  for (const id of ['constructor', '__proto__', 'toString', '']) expect(catalogue.find(id)).toBeUndefined()
})

test.each([
  [129, '5.375'],
  [97, '4.041666666666667'],
  [121, '5.041666666666667'],
  [25, '1.0416666666666667'],
  [1, '0.041666666666666664'],
])('%i frames at 24 a second are %s seconds', (frames, text) => {
  expect(formatSeconds(frames, 24)).toBe(text)
  expect(Number(text) * 24).toBeCloseTo(frames, 9)
})
