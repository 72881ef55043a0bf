import { readFileSync } from 'node:fs'
import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { BUILT_IN_MODELS, FIRST_MODELS } from '@sluice/shared/models/built-in-models'
import { frameRuleText } from '@sluice/shared/models/frame-rule'
import { findSize } from '@sluice/shared/models/sizes'
import { formatMicros } from '@sluice/shared/money'
import { generatedTokens, videoTokens } from '@sluice/shared/token-count'
import { expect, test } from 'vitest'
import { entrySchema } from '../packages/shared/src/catalogue/entry.ts'

const page = readFileSync(new URL('../docs/models.md', import.meta.url), 'utf8')

/** The cells of the rows of the table below a heading, by the model in their first cell. */
function rowsBelow(heading: string): Map<string, string[]> {
  const [section = ''] = new RegExp(`(?<=\n## ${heading}\n)[\\s\\S]*?(?=\n## |$)`).exec(page) ?? []
  const rows = [...section.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)]
  return new Map(rows.map(([, id = '', cells = '']) => [id, cells.split(' | ').map((cell) => cell.trim())]))
}

const numberOf = (text: string | undefined) => BigInt((text ?? '').replaceAll(',', ''))

test('docs/models.md counts the tokens of a clip of every built-in model as the program does', () => {
  const rows = rowsBelow('Tokens')
  expect([...rows.keys()]).toEqual(BUILT_IN_MODELS.map(({ id }) => id))
  for (const model of BUILT_IN_MODELS) {
    const [rule, clip = '', video = '', generated = ''] = rows.get(model.id) ?? []
    const { temporal, spatial, patch } = model.tokens
    expect(rule).toBe(`${temporal}, ${spatial}, [${patch.join(', ')}]`)
    const [, size = '', frames] = /^(\d+x\d+), (\d+) frames$/.exec(clip) ?? []
    const made = findSize(model, size)
    if (made === undefined) throw new Error(`${model.id} makes no ${size}`)
    expect(Number(frames)).toBe(model.frames.default)
    const [, factors = '', product] = /^([\d x]+) = ([\d,]+)$/.exec(video) ?? []
    const counted = videoTokens(model.tokens, { ...made, frames: Number(frames) })
    expect(numberOf(product)).toBe(counted)
    expect(factors.split(' x ').reduce((whole, factor) => whole * BigInt(factor), 1n)).toBe(counted)
    const [, steps, charged] = /^x (\d+) = ([\d,]+)$/.exec(generated) ?? []
    expect(Number(steps)).toBe(model.steps.default)
    expect(numberOf(charged)).toBe(
      generatedTokens(model.tokens, { ...made, frames: Number(frames) }, Number(steps)),
    )
  }
})

test('docs/models.md says of every built-in model what the catalogue says', () => {
  const rows = rowsBelow('Built-in models')
  expect([...rows.keys()]).toEqual(BUILT_IN_MODELS.map(({ id }) => id))
  for (const model of BUILT_IN_MODELS) {
    const { frames, fps, steps, licence, firstPriceMicros } = model
    const prices = model.resolutions.map((name) => `${name} ${formatMicros(firstPriceMicros[name] ?? 0n)}`)
    const countries = licence.forbiddenIn.length === 0 ? '' : `, not in ${licence.forbiddenIn.join(', ')}`
    expect(rows.get(model.id)).toEqual([
      prices.join(', '),
      `${frameRuleText(frames)} to ${frames.max}, ${fps}`,
      String(steps.default),
      model.modes.join(', '),
      `${licence.commercial}${countries}`,
    ])
  }
})

test('first prices of built-in models are one rule: about 5 an hour of an H100, at the speed that Open-Sora publishes of its own and that the others say', () => {
  const openSora = { '256px': 7_040, '768px': 2_296 }
  const published: Record<string, Record<string, number>> = {
    animatic: openSora,
    'open-sora-2': openSora,
    'open-sora-2-fast': { '256px': 14_080, '768px': 4_592 },
  }
  for (const { id, resolutions, tokensPerSecond, firstPriceMicros } of BUILT_IN_MODELS) {
    for (const resolution of resolutions) {
      const perHour =
        ((published[id] ?? tokensPerSecond)[resolution] ?? 0) *
        3_600 *
        (Number(firstPriceMicros[resolution]) / 1e12)
      expect(perHour, `${id} ${resolution}`).toBeGreaterThan(4.6)
      expect(perHour, `${id} ${resolution}`).toBeLessThan(5.4)
    }
  }
})

test('every catalogue that docs/models.md shows is taken, and every field of an entry is explained there', () => {
  const shown = [
    ...[...page.matchAll(/(?<=```json\n)[\s\S]*?(?=```)/g)].map(([text]) => text),
    ...[...page.matchAll(/echo '(\{"models".*\})'/g)].map(([, text = '']) => text),
  ]
  expect(shown.length).toBeGreaterThanOrEqual(4)
  // Each offers something beyond the first two.
  for (const text of shown)
    expect(parseCatalogue('models.json', text).models.length, text).toBeGreaterThan(FIRST_MODELS.length)
  const table = /(?<=\n## The fields of an entry\n)[\s\S]*?(?=\n## )/.exec(page)?.[0] ?? ''
  for (const field of Object.keys(entrySchema.shape).filter((name) => name !== 'weights'))
    expect(table, field).toMatch(new RegExp(`^\\|[^|]*\`${field}\`[^|]*\\|`, 'm'))
})
