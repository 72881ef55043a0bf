import type { SKRSContext2D } from '@napi-rs/canvas'
import { LATENT_COLUMNS, RIDGE_ROWS } from '../latent.ts'
import { glowSprite } from './glow.ts'
import type { Painter, Setting } from './setting.ts'

const LIGHTS = 34

/** Slow lights that drift across everything: fireflies by night, dust in the sun by day. */
export function lightsPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, latent, palette } = setting
  const sprite = glowSprite(palette.accent)
  const row = (index: number, light: number): number =>
    latent[(RIDGE_ROWS + index) * LATENT_COLUMNS + light] ?? 0
  const wrapped = (value: number): number => ((value % 1) + 1) % 1
  return ({ seconds }) => {
    context.globalCompositeOperation = 'lighter'
    for (let light = 0; light < LIGHTS; light++) {
      const phase = row(2, light) * 6
      const far = 0.35 + 0.65 * wrapped(light * 0.618)
      const x = wrapped(
        row(0, light) * 0.5 +
          0.5 +
          setting.direction * seconds * 0.012 * far +
          0.015 * Math.sin(seconds * 0.9 + phase),
      )
      const y = wrapped(row(1, light) * 0.5 + 0.5 - seconds * 0.018 * far)
      const size = Math.min(width, height) * 0.034 * far
      context.globalAlpha =
        (0.16 + 0.3 * Math.max(0, Math.sin(seconds * 1.4 + phase))) * far * Math.min(1, y * 6, (1 - y) * 6)
      context.drawImage(sprite, x * width - size / 2, y * height - size / 2, size, size)
    }
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
  }
}
