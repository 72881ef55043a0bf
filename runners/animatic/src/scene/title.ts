import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import { fontFor, hasGlyph } from './fonts.ts'

/** Replaces a character that no font has a glyph for (most emoji): a star rather than a box. */
const ORNAMENT = '✦'
/** Bounds the time of the layout; longer prompts end in an ellipsis long before. */
const GRAPHEMES_MAX = 700

export interface TitleLayout {
  lines: readonly string[]
  fontPixels: number
  lineHeightPixels: number
  widthPixels: number
  rightToLeft: boolean
}

const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' })

/**
 * Returns the prompt as it can be drawn, never empty: one paragraph without control, format or private
 * characters, and one star for each run that no font can draw.
 */
export function drawableText(prompt: string): string {
  const plain = prompt
    .toWellFormed()
    .normalize('NFC')
    .replace(/[\s\p{Z}]+/gu, ' ')
    // Joiners stay: Arabic and Indic shaping need them.
    .replace(/(?![\u200c\u200d])(?:[\p{Cc}\p{Cf}\p{Co}\p{Cn}\ufffd]|\p{Variation_Selector})/gu, '')
    .trim()
  let text = ''
  let count = 0
  for (const { segment } of graphemes.segment(plain)) {
    if (count++ === GRAPHEMES_MAX) break
    if (canDraw(segment)) text += segment
    else if (!text.endsWith(ORNAMENT)) text += ORNAMENT
  }
  text = text
    .replace(/[\u200c\u200d]+(?= |$)/g, '')
    .replace(new RegExp(`${ORNAMENT}(?: ${ORNAMENT})+`, 'g'), ORNAMENT)
  const star = hasGlyph(ORNAMENT) ? ORNAMENT : '•'
  text = text.replaceAll(ORNAMENT, star).trim()
  return text.replaceAll(/[\u200c\u200d]/g, '') === '' ? '…' : text
}

function canDraw(grapheme: string): boolean {
  return [...grapheme].every(
    (character) => character === ' ' || /^[\p{M}\u200c\u200d]$/u.test(character) || hasGlyph(character),
  )
}

/**
 * Wraps `text` at the largest size that fits the box, then evens out the lines. Text that does not fit at the
 * smallest size ends in an ellipsis.
 */
export function layOutTitle(
  text: string,
  box: { width: number; height: number; fontPixelsMax: number; fontPixelsMin: number },
): TitleLayout {
  const context = createCanvas(1, 1).getContext('2d')
  const pieces = breakablePieces(text)
  // Widths scale with the size, so every piece is measured once.
  context.font = fontFor(text, 600, 100)
  const widths = new Map<string, number>()
  const widthOf = (piece: string): number => {
    const known = widths.get(piece)
    if (known !== undefined) return known
    const width = context.measureText(piece).width / 100
    widths.set(piece, width)
    return width
  }
  const rightToLeft = /^\P{L}*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u.test(
    text,
  )
  for (let size = box.fontPixelsMax; ; size = Math.max(box.fontPixelsMin, size * 0.94)) {
    const lineHeightPixels = Math.round(size * 1.32)
    const linesMax = Math.max(1, Math.floor(box.height / lineHeightPixels))
    const smallest = size <= box.fontPixelsMin
    const lines = wrap(pieces, widthOf, box.width / size)
    // A short text gets few lines: a tall narrow stack at full size reads worse than two smaller lines.
    const linesWanted = smallest
      ? linesMax
      : Math.min(linesMax, text.length < 24 ? 2 : text.length < 60 ? 3 : 7)
    const fits = lines.length <= linesWanted && lines.every((line) => widthOf(line) * size <= box.width)
    if (!fits && !smallest) continue
    const shown =
      lines.length <= linesMax ? evenOut(pieces, widthOf, box.width / size, lines) : shorten(lines, linesMax)
    const widthPixels = Math.min(box.width, Math.max(...shown.map((line) => widthOf(line) * size)))
    return { lines: shown, fontPixels: size, lineHeightPixels, widthPixels, rightToLeft }
  }
}

/**
 * Draws the laid-out lines centred on a transparent layer of their own, with room for the shadow on each
 * side.
 */
export function drawTitle(layout: TitleLayout, shadow: string): Canvas {
  const margin = Math.ceil(layout.fontPixels * 0.9)
  const width = Math.ceil(layout.widthPixels) + margin * 2
  const canvas = createCanvas(width, layout.lines.length * layout.lineHeightPixels + margin * 2)
  const context = canvas.getContext('2d')
  context.font = fontFor(layout.lines.join(''), 600, layout.fontPixels)
  context.direction = layout.rightToLeft ? 'rtl' : 'ltr'
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  context.shadowColor = shadow
  context.shadowBlur = layout.fontPixels * 0.5
  context.shadowOffsetY = layout.fontPixels * 0.05
  context.fillStyle = '#ffffff'
  // Twice: the first lays a deep soft shadow, the second a tight one.
  drawLines(context, layout, width, margin)
  context.shadowBlur = layout.fontPixels * 0.12
  drawLines(context, layout, width, margin)
  return canvas
}

function drawLines(context: SKRSContext2D, layout: TitleLayout, width: number, margin: number): void {
  layout.lines.forEach((line, index) => {
    context.fillText(line, width / 2, margin + (index + 0.5) * layout.lineHeightPixels)
  })
}

const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff00-\uffef]/u
/** Punctuation that may not begin a line, and that may not end one. */
const CLOSING = /^[,.!?;:)\]}%”’»、。，．！？；：）】》〉」』〕…—～·]/u
const OPENING = /[([{“‘«（【《〈「『〔]$/u

/** Cuts the text where a line may break: at spaces, which end a piece, and between Chinese characters. */
function breakablePieces(text: string): string[] {
  const pieces: string[] = []
  let mayBreak = true
  for (const { segment } of graphemes.segment(text)) {
    const last = pieces.at(-1)
    const wide = WIDE.test(segment)
    const breaks =
      last === undefined ||
      ((mayBreak || wide) && segment !== ' ' && !CLOSING.test(segment) && !OPENING.test(last))
    if (breaks || last === undefined) pieces.push(segment)
    else pieces[pieces.length - 1] = last + segment
    mayBreak = segment === ' ' || wide
  }
  return pieces
}

/** Greedy lines no wider than `width` (in ems); a single piece that is wider is cut between characters. */
function wrap(pieces: readonly string[], widthOf: (piece: string) => number, width: number): string[] {
  const lines: string[] = []
  let line = ''
  let lineWidth = 0
  const put = (piece: string): void => {
    const pieceWidth = widthOf(piece)
    if (line !== '' && lineWidth + widthOf(piece.trimEnd()) > width) {
      lines.push(line.trimEnd())
      line = ''
      lineWidth = 0
    }
    line += piece
    lineWidth += pieceWidth
  }
  for (const piece of pieces) {
    if (widthOf(piece.trimEnd()) <= width) put(piece)
    else for (const { segment } of graphemes.segment(piece)) put(segment)
  }
  if (line.trim() !== '') lines.push(line.trimEnd())
  return lines
}

/** The narrowest wrapping with the same number of lines: no lone last word. */
function evenOut(
  pieces: readonly string[],
  widthOf: (piece: string) => number,
  width: number,
  lines: string[],
): string[] {
  // A cut word looks worse in a narrower column.
  const widest = Math.max(...pieces.map((piece) => widthOf(piece.trimEnd())))
  if (lines.length < 2 || widest > width) return lines
  let best = lines
  let low = widest
  let high = width
  for (let round = 0; round < 12; round++) {
    const middle = (low + high) / 2
    const tried = wrap(pieces, widthOf, middle)
    if (tried.length <= lines.length) {
      best = tried
      high = middle
    } else low = middle
  }
  return best
}

function shorten(lines: readonly string[], linesMax: number): string[] {
  const shown = lines.slice(0, linesMax)
  const last = shown.at(-1) ?? ''
  const characters = [...graphemes.segment(last)].map(({ segment }) => segment)
  shown[shown.length - 1] = `${characters
    .slice(0, -2)
    .join('')
    .replace(/[\s\p{P}]+$/u, '')}…`
  return shown
}
