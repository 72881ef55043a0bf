import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createCanvas, GlobalFonts } from '@napi-rs/canvas'

const require = createRequire(import.meta.url)

/** Searched first, since several subsets have the same Latin letters. */
const PREFERRED = ['latin', 'latin-ext', 'vietnamese', 'cyrillic']
/**
 * Noto Sans SC comes in about a hundred subsets by code point; only those that a prompt needs are registered.
 */
const SUBSETS: readonly { name: string; ranges: readonly (readonly [number, number])[] }[] = readSubsets()

/** Weights that the title card draws with. */
export type FontWeight = 400 | 600

const registered = new Set<string>()

/** Returns a CSS font for `text`: the Noto Sans SC subsets that it needs, then the system's sans-serif. */
export function fontFor(text: string, weight: FontWeight, sizePixels: number): string {
  const wanted = new Set<string>()
  for (const character of text) {
    const subset = subsetOf(character.codePointAt(0) ?? 0)
    if (subset !== undefined) wanted.add(subset)
  }
  // Latin comes last: the shaper would rather build an accented letter from Latin parts than look for it in
  // the next family.
  wanted.delete('latin')
  wanted.add('latin')
  const families = [...wanted].map((subset) => `"${registerSubset(subset, weight)}"`)
  const system = '"Noto Sans", "DejaVu Sans", "Liberation Sans", sans-serif'
  const packaged = families.join(', ')
  // A text with a letter that would be built from parts is set in the system's font as a whole.
  const order = [...text].some(isPieced) ? `${system}, ${packaged}` : `${packaged}, ${system}`
  return `${weight} ${sizePixels}px ${order}`
}

const drawable = new Map<string, boolean>()
const PROBE_PIXELS = 24
let missingGlyph: Buffer | undefined

/**
 * Whether some font has a glyph for the character. It is drawn, and compared with the box that stands for a
 * code point of no font.
 */
export function hasGlyph(character: string): boolean {
  const known = drawable.get(character)
  if (known !== undefined) return known
  missingGlyph ??= drawProbe('\u{10fffd}')
  const has = !drawProbe(character).equals(missingGlyph)
  if (drawable.size > 20_000) drawable.clear()
  drawable.set(character, has)
  return has
}

const pieced = new Map<string, boolean>()

/**
 * Whether Noto Sans SC lacks the letter, so that the shaper builds it from parts (a c and a loose accent).
 */
function isPieced(character: string): boolean {
  const parts = character.normalize('NFD')
  const subset = subsetOf(character.codePointAt(0) ?? 0)
  if (parts === character || (subset !== 'latin-ext' && subset !== undefined)) return false
  const known = pieced.get(character)
  if (known !== undefined) return known
  // With the Latin subset alone the shaper must use parts; a font that has the letter draws it differently.
  const latin = `"${registerSubset('latin', 600)}"`
  const own = subset === undefined ? latin : `"${registerSubset(subset, 600)}", ${latin}`
  const isBuilt = drawProbe(character, `600 ${PROBE_PIXELS}px ${own}`).equals(
    drawProbe(parts, `600 ${PROBE_PIXELS}px ${latin}`),
  )
  pieced.set(character, isBuilt)
  return isBuilt
}

function drawProbe(character: string, font = fontFor(character, 600, PROBE_PIXELS)): Buffer {
  const canvas = createCanvas(PROBE_PIXELS * 2, PROBE_PIXELS * 2)
  const context = canvas.getContext('2d')
  context.font = font
  context.fillText(character, 4, PROBE_PIXELS * 1.4)
  return Buffer.from(canvas.data())
}

function subsetOf(codePoint: number): string | undefined {
  return SUBSETS.find((subset) =>
    subset.ranges.some(([first, last]) => codePoint >= first && codePoint <= last),
  )?.name
}

function registerSubset(subset: string, weight: FontWeight): string {
  const family = `animatic ${weight} ${subset}`
  if (registered.has(family)) return family
  const path = require.resolve(`@fontsource/noto-sans-sc/files/noto-sans-sc-${subset}-${weight}-normal.woff2`)
  if (!GlobalFonts.registerFromPath(path, family)) throw new Error(`the font file ${path} could not be read`)
  registered.add(family)
  return family
}

function readSubsets(): { name: string; ranges: (readonly [number, number])[] }[] {
  const file: unknown = JSON.parse(
    readFileSync(require.resolve('@fontsource/noto-sans-sc/unicode.json'), 'utf8'),
  )
  if (typeof file !== 'object' || file === null)
    throw new Error('@fontsource/noto-sans-sc/unicode.json is not an object')
  const subsets = Object.entries(file).map(([key, ranges]) => ({
    // Keys are "latin" or "[87]"; the files are called without the brackets.
    name: key.replace(/[[\]]/g, ''),
    ranges: String(ranges)
      .split(',')
      .map((range) => {
        const [first = '', last = first] = range.replace('U+', '').split('-')
        return [Number.parseInt(first, 16), Number.parseInt(last, 16)] as const
      }),
  }))
  const rank = (name: string): number =>
    PREFERRED.includes(name) ? PREFERRED.indexOf(name) : PREFERRED.length
  return subsets.sort((a, b) => rank(a.name) - rank(b.name))
}
