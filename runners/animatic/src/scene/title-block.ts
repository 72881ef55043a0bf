import type { Canvas } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'
import { type Palette, withAlpha } from './palette.ts'
import { drawableText, drawTitle, layOutTitle } from './title.ts'

export interface TitleBlock {
  layer: Canvas
  /** First and last pixel row of the lines, and the row of the time line beneath them. */
  top: number
  bottom: number
  ruleY: number
}

export function composeTitle({ prompt, width, height }: Generation, palette: Palette): TitleBlock {
  const layout = layOutTitle(drawableText(prompt), {
    width: width * 0.82,
    height: height * 0.56,
    fontPixelsMax: Math.max(12, Math.min(width * 0.088, height * 0.108)),
    fontPixelsMin: Math.max(9, Math.min(width, height) * 0.036),
  })
  const tall = layout.lines.length * layout.lineHeightPixels
  const top = Math.max(height * 0.06, height * 0.36 - tall / 2)
  const bottom = top + tall
  return {
    layer: drawTitle(layout, withAlpha(palette.near, 0.62)),
    top,
    bottom,
    ruleY: Math.round(bottom + Math.max(5, layout.fontPixels * 0.3)),
  }
}
