import { describe, expect, test } from 'vitest'
import { hasGlyph } from './fonts.ts'
import { drawableText, drawTitle, layOutTitle } from './title.ts'

const BOX = { width: 800, height: 320, fontPixelsMax: 64, fontPixelsMin: 12 }

function pixelsOf(prompt: string): Buffer {
  const canvas = drawTitle(layOutTitle(drawableText(prompt), BOX), '#00000000')
  return Buffer.from(canvas.data())
}

describe('drawableText', () => {
  test('leaves no character that would be drawn as a box', () => {
    const text = drawableText('boat 纸船 🚤👩‍👩‍👧 हिन्दी \u{10fffd} \u0378 龘靐 한국 Ж ż ế')
    for (const character of text.replace(/\s/g, ''))
      expect([character, hasGlyph(character)]).toEqual([character, true])
    expect(text).toContain('boat 纸船')
  })

  test('is never empty', () => {
    for (const prompt of ['', '   ', '\u200b\u200d', '\u0000\u0007', '\ud800'])
      expect(drawableText(prompt)).not.toBe('')
  })
})

describe('the title', () => {
  test('draws a different glyph for each Chinese character, and ink for each', () => {
    const characters = [...'雨中的纸船漂过霓虹灯下运河龘']
    const drawn = characters.map((character) => pixelsOf(character).toString('base64'))
    expect(new Set(drawn).size).toBe(characters.length)
    for (const character of characters) expect(pixelsOf(character).some((value) => value !== 0)).toBe(true)
  })

  test.each([
    'a',
    'a paper boat drifting down a neon-lit canal in the rain',
    '雨中的纸船，漂过霓虹灯下的运河',
    'x'.repeat(900),
    '纸'.repeat(900),
    'word '.repeat(800),
  ])('fits its box: %.20s', (prompt) => {
    for (const [width, height] of [
      [131, 215],
      [971, 278],
      [315, 90],
    ] as const) {
      const layout = layOutTitle(drawableText(prompt), { ...BOX, width, height })
      expect(layout.lines.length * layout.lineHeightPixels).toBeLessThanOrEqual(height)
      expect(layout.widthPixels).toBeLessThanOrEqual(width)
      expect(layout.lines.length).toBeGreaterThan(0)
    }
  })

  test('shows every word of a prompt that fits, in order', () => {
    const prompt = 'a paper boat drifting down a neon-lit canal in the rain'
    expect(layOutTitle(prompt, BOX).lines.join(' ')).toBe(prompt)
  })

  test('Chinese punctuation does not begin a line', () => {
    const { lines } = layOutTitle('雨后的竹林，一只熊猫慢慢走过木桥，远处传来钟声。'.repeat(3), {
      ...BOX,
      width: 300,
    })
    expect(lines.length).toBeGreaterThan(2)
    for (const line of lines) expect(line).not.toMatch(/^[，。]/)
  })
})
