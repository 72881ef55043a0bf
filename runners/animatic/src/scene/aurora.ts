import type { SKRSContext2D } from '@napi-rs/canvas'
import { LATENT_COLUMNS } from '../latent.ts'
import { withAlpha } from './palette.ts'
import type { Painter, Setting } from './setting.ts'

const CURTAINS = 2
const COLUMNS = 46

/**
 * Two waving curtains of light. Their brightness follows the last star's: globalAlpha stays as it was left.
 */
export function auroraPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, horizon, latent, palette } = setting
  return ({ seconds }) => {
    context.globalCompositeOperation = 'lighter'
    for (let curtain = 0; curtain < CURTAINS; curtain++) {
      const colour = curtain === 0 ? palette.accent : '#6f7dff'
      for (let column = 0; column < COLUMNS; column++) {
        const wave = latent[(curtain + 3) * LATENT_COLUMNS + (column % LATENT_COLUMNS)] ?? 0
        const at = column / COLUMNS
        const sway = 0.1 * Math.sin(at * 5 + seconds * 0.5 + curtain * 2)
        const y = horizon * (0.34 + curtain * 0.09 + sway + 0.05 * wave)
        const tall = horizon * (0.26 + 0.1 * Math.sin(at * 11 + seconds * 0.8 + curtain))
        const gradient = context.createLinearGradient(0, y - tall, 0, y)
        const strength = 0.07 + 0.06 * Math.sin(at * 17 - seconds * 0.9 + curtain * 3)
        gradient.addColorStop(0, withAlpha(colour, 0))
        gradient.addColorStop(0.75, withAlpha(colour, strength))
        gradient.addColorStop(1, withAlpha(colour, 0))
        context.fillStyle = gradient
        // Wider than a column: neighbours overlap and the curtain has no seams.
        context.fillRect(at * width - width / COLUMNS, y - tall, (width / COLUMNS) * 3, tall)
      }
    }
    context.globalCompositeOperation = 'source-over'
  }
}
