import type { SKRSContext2D } from '@napi-rs/canvas'
import { glowSprite } from './glow.ts'
import type { Painter, Setting } from './setting.ts'

/** Sun or moon with its halo. */
export function discPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, palette } = setting
  const glow = glowSprite(palette.glow)
  const radius = discRadius(setting)
  const halo = Math.max(width, height) * (palette.night ? 0.5 : 0.95)
  const inner = radius * 5
  return ({ seconds, share }) => {
    const { x, y } = discAt(setting, share)
    context.globalCompositeOperation = 'lighter'
    context.globalAlpha = (palette.night ? 0.4 : 0.55) + 0.04 * Math.sin(seconds * 1.3)
    context.drawImage(glow, x - halo / 2, y - halo / 2, halo, halo)
    context.globalAlpha = 0.6
    context.drawImage(glow, x - inner / 2, y - inner / 2, inner, inner)
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
    context.fillStyle = palette.disc
    context.beginPath()
    context.arc(x, y, radius, 0, Math.PI * 2)
    context.fill()
  }
}

export function discRadius({ width, height, palette }: Setting): number {
  return Math.min(width, height) * (palette.night ? 0.052 : 0.085)
}

/** The sun stays below the title and may hide behind the land; the moon stays above it. */
export function discAt(setting: Setting, share: number): { x: number; y: number } {
  const { width, skyBase, discX, direction, palette, kind, title } = setting
  const radius = discRadius(setting)
  const x = width * (discX + direction * 0.03 * share)
  if (palette.night) {
    const wanted = Math.min(skyBase * 0.24, title.top - radius * 1.5) - skyBase * 0.04 * share
    return { x, y: Math.max(radius * 1.2, wanted) }
  }
  const wanted = skyBase * (kind === 'sea' ? 0.9 - 0.1 * share : 0.76 - 0.1 * share)
  return { x, y: Math.min(skyBase * 0.97, Math.max(wanted, title.ruleY + radius * 1.35)) }
}
