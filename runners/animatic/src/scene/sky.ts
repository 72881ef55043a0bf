import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import { glowSprite } from './glow.ts'
import { mixColours } from './palette.ts'
import type { Painter, Setting } from './setting.ts'

/** The sky fades from its colours at the start of the clip to those at its end. */
export function skyPainter(setting: Setting, context: SKRSContext2D): Painter {
  const early = skyLayer(setting, setting.palette.sky)
  const late = skyLayer(setting, setting.palette.skyLater)
  return ({ share }) => {
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
    context.drawImage(early, 0, 0)
    context.globalAlpha = share
    context.drawImage(late, 0, 0)
  }
}

/** Stars that twinkle; a few even by day. */
export function starsPainter(setting: Setting, context: SKRSContext2D, random: () => number): Painter {
  const { width, height, horizon, palette } = setting
  const stars = Array.from({ length: palette.night ? 110 : 34 }, () => ({
    x: random() * width,
    y: random() ** 1.5 * horizon * (palette.night ? 0.85 : 0.45),
    size: (0.5 + random() * 0.9) * Math.max(0.8, Math.min(width, height) / 480),
    phase: random() * 6.3,
  }))
  return ({ seconds }) => {
    context.fillStyle = '#ffffff'
    for (const star of stars) {
      context.globalAlpha =
        (palette.night ? 0.75 : 0.4) * (0.55 + 0.45 * Math.sin(star.phase + seconds * 1.7))
      context.beginPath()
      context.arc(star.x, star.y, star.size, 0, Math.PI * 2)
      context.fill()
    }
  }
}

/** Thin clouds that drift across, and come back in on the other side. */
export function cloudsPainter(setting: Setting, context: SKRSContext2D, random: () => number): Painter {
  const { width, skyBase, palette, direction } = setting
  const clouds = Array.from({ length: 5 }, (_, index) => ({
    x: random(),
    y: 0.3 + random() * 0.45,
    widthShare: 0.35 + random() * 0.5,
    heightShare: 0.014 + random() * 0.03,
    drift: 0.006 + index * 0.003,
  }))
  const cloud = glowSprite(mixColours(palette.sky[3], '#ffffff', 0.25))
  return ({ seconds }) => {
    context.globalAlpha = palette.night ? 0.08 : 0.2
    for (const { x, y, widthShare, heightShare, drift } of clouds) {
      const cloudWidth = widthShare * width
      const cloudHeight = Math.max(3, heightShare * setting.height * 2)
      const left = (((x + direction * drift * seconds) % 1) + 1) % 1
      context.drawImage(cloud, left * (width + cloudWidth) - cloudWidth, y * skyBase, cloudWidth, cloudHeight)
    }
    context.globalAlpha = 1
  }
}

function skyLayer({ width, horizon, skyBase }: Setting, colours: Setting['palette']['sky']): Canvas {
  const canvas = createCanvas(width, horizon)
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, 0, skyBase)
  const stops = [0, 0.38, 0.74, 1]
  colours.forEach((colour, index) => {
    gradient.addColorStop(stops[index] ?? 1, colour)
  })
  context.fillStyle = gradient
  context.fillRect(0, 0, width, horizon)
  return canvas
}
