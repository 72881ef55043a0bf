import type { SKRSContext2D } from '@napi-rs/canvas'
import { LATENT_COLUMNS } from '../latent.ts'
import { mixColours } from './palette.ts'
import type { Painter, Setting } from './setting.ts'

/** One silhouette of `rows`, hazier the farther it is (row 0 is the farthest); the latent is its skyline. */
export function ridgePainter(setting: Setting, context: SKRSContext2D, row: number, rows: number): Painter {
  const { width, height, horizon, latent } = setting
  const nearness = rows === 1 ? 0 : row / (rows - 1)
  const { base, tall } = ridgeShape(setting, nearness)
  const columnsShown = (setting.kind === 'sea' ? 40 : 30 - row * 2.5) * Math.min(1, (width / height) ** 0.6)
  const crag = row < 3 ? 0.16 : 0.05
  const stepPixels = Math.max(2, Math.min(width, height) / 110)
  const { top, bottom } = ridgeColours(setting, nearness, rows)
  const gradient = context.createLinearGradient(0, base - tall, 0, Math.min(horizon, base + tall * 2.4))
  gradient.addColorStop(0, top)
  gradient.addColorStop(1, bottom)
  return ({ seconds }) => {
    const scroll = setting.direction * seconds * (0.12 + nearness * 0.75)
    context.beginPath()
    context.moveTo(0, horizon + 2)
    for (let x = 0; x <= width + stepPixels; x += stepPixels) {
      const column = (x / width) * columnsShown + scroll + row * 11
      context.lineTo(x, base - tall * skyline(latent, row, column, crag))
    }
    context.lineTo(width + stepPixels, horizon + 2)
    context.closePath()
    context.fillStyle = gradient
    context.fill()
  }
}

/** The row around which a ridge stands, and how far its skyline reaches up and down from it. */
function ridgeShape(setting: Setting, nearness: number): { base: number; tall: number } {
  const { width, height, horizon, skyBase, kind } = setting
  const reach = Math.min(height, width * 1.2)
  return {
    base:
      kind === 'valley'
        ? skyBase - reach * 0.05 + (height * 1.02 - skyBase) * nearness ** 0.9
        : horizon - reach * (0.085 * (1 - nearness) + 0.012),
    tall: reach * (kind === 'sea' ? 0.035 : 0.115 - 0.035 * nearness),
  }
}

function ridgeColours(
  { palette, kind }: Setting,
  nearness: number,
  rows: number,
): { top: string; bottom: string } {
  const haze = mixColours(palette.far, palette.sky[3], 0.22 * (1 - nearness))
  const top = mixColours(haze, palette.near, nearness ** 0.85 * (rows === 3 ? 0.72 : 0.94))
  const mist = kind === 'valley' ? 0.42 * (1 - nearness) : 0.25 * (1 - nearness)
  return { top, bottom: mixColours(top, palette.sky[3], mist) }
}

/**
 * Height of a ridge or wave at a fractional column, -1 to 1 and a little beyond: a smooth curve through a row
 * of the latent plus finer crags of it.
 */
export function skyline(latent: Float64Array, row: number, column: number, crag: number): number {
  const at = (from: number): number => {
    const whole = Math.floor(from)
    const rest = from - whole
    const eased = rest * rest * (3 - 2 * rest)
    const index = (offset: number): number =>
      row * LATENT_COLUMNS + ((((whole + offset) % LATENT_COLUMNS) + LATENT_COLUMNS) % LATENT_COLUMNS)
    return (latent[index(0)] ?? 0) * (1 - eased) + (latent[index(1)] ?? 0) * eased
  }
  return at(column) + crag * at(column * 3.7 + 5) + crag * 0.45 * at(column * 9.1 + 17)
}
