import type { SKRSContext2D } from '@napi-rs/canvas'
import { RIDGE_ROWS } from '../latent.ts'
import { mixColours, withAlpha } from './palette.ts'
import { skyline } from './ridge.ts'
import type { Painter, Setting } from './setting.ts'

/** Rolling waves of a sea, from far to near. */
export function swellPainter(setting: Setting, context: SKRSContext2D): Painter {
  const waves = Array.from({ length: RIDGE_ROWS - 1 }, (_, index) => wavePainter(setting, context, index + 1))
  return (moment) => {
    for (const paint of waves) paint(moment)
  }
}

/** `row` of the latent, from 1, gives the wave its shape. */
function wavePainter(setting: Setting, context: SKRSContext2D, row: number): Painter {
  const { width, height, horizon, palette, latent } = setting
  const depth = height - horizon
  const stepPixels = Math.max(3, width / 90)
  const nearness = row / (RIDGE_ROWS - 1)
  const base = horizon + depth * (0.1 + 0.72 * nearness ** 1.25)
  const tall = depth * (0.045 + 0.12 * nearness)
  const crest = mixColours(palette.far, palette.near, 0.25 + nearness * 0.6)
  const gradient = context.createLinearGradient(0, base - tall, 0, base + depth * 0.5)
  gradient.addColorStop(0, withAlpha(mixColours(crest, palette.sky[3], 0.16 * (1 - nearness * 0.6)), 0.62))
  gradient.addColorStop(1, withAlpha(palette.near, 0.85))
  return ({ seconds }) => {
    const run = setting.direction * (row % 2 === 0 ? 1 : -1) * seconds * (0.5 + nearness * 0.5)
    context.beginPath()
    context.moveTo(-stepPixels, height + stepPixels)
    for (let x = -stepPixels; x <= width + stepPixels; x += stepPixels) {
      const column = (x / width) * (13 - nearness * 7) + run + row * 9
      const swell =
        Math.sin(column * 1.3 + seconds * 0.7) * 0.45 + skyline(latent, row, column * 0.8, 0) * 0.55
      context.lineTo(x, base - tall * swell)
    }
    context.lineTo(width + stepPixels * 2, height + stepPixels)
    context.closePath()
    context.fillStyle = gradient
    context.fill()
    // The path's outline leaves the frame on the other three sides: only the crest catches the light.
    context.strokeStyle = withAlpha(mixColours(palette.sky[3], palette.disc, 0.4), 0.2 - 0.12 * nearness)
    context.lineWidth = Math.max(1, height / 420)
    context.stroke()
  }
}
