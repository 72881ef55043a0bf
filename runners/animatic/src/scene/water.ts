import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import { seededRandom } from '@sluice/shared/seeded-random'
import { discAt, discRadius } from './disc.ts'
import { glowSprite } from './glow.ts'
import { withAlpha } from './palette.ts'
import { type Painter, type Setting, scatterSeed } from './setting.ts'
import { swellPainter } from './swell.ts'

/** What lies below the horizon of a lake or sea: it mirrors `scenery`, which is as wide as the frame. */
export function waterPainter(setting: Setting, context: SKRSContext2D, scenery: Canvas): Painter {
  const tint = tintLayer(setting)
  const paintMirror = mirrorPainter(setting, context, scenery)
  const paintSwell = setting.kind === 'sea' ? swellPainter(setting, context) : null
  const paintGlitter = glitterPainter(setting, context)
  return (moment) => {
    paintMirror(moment)
    context.drawImage(tint, 0, setting.horizon)
    paintSwell?.(moment)
    paintGlitter(moment)
  }
}

/** The scenery upside down, in strips that sway more the nearer they are. */
function mirrorPainter(setting: Setting, context: SKRSContext2D, scenery: Canvas): Painter {
  const { width, height, horizon } = setting
  const depth = height - horizon
  const stripHeight = Math.max(2, Math.round(height / 150))
  return ({ seconds }) => {
    for (let y = 0; y < depth; y += stripHeight) {
      const nearness = y / depth
      const sway =
        Math.sin(y * 0.55 * (150 / height) * 3 + seconds * 2.2) + 0.6 * Math.sin(y * 0.21 + seconds * 1.3)
      const offset = sway * (0.4 + nearness * 5) * (Math.min(width, height) / 560)
      const ripple = Math.sin(y * 0.8 - seconds * 2.6) * nearness * 6
      const from = Math.max(0, horizon - stripHeight - y * 1.35 + ripple)
      // A little wider than the frame, so that the sway never shows an edge.
      const [left, wide] = [-8 + offset, width + 16]
      context.drawImage(scenery, 0, from, width, stripHeight, left, horizon + y, wide, stripHeight)
    }
  }
}

function tintLayer({ width, height, horizon, palette }: Setting): Canvas {
  const depth = height - horizon
  const canvas = createCanvas(width, Math.max(1, depth))
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, 0, depth)
  gradient.addColorStop(0, withAlpha(palette.near, 0.12))
  gradient.addColorStop(1, withAlpha(palette.near, 0.78))
  context.fillStyle = gradient
  context.fillRect(0, 0, width, depth)
  return canvas
}

/** The light of the disc on the water: its mirrored glow, and glints that come and go beneath it. */
function glitterPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, horizon, palette } = setting
  const depth = height - horizon
  const glint = glowSprite(palette.disc)
  const glow = glowSprite(palette.glow)
  const sheen = discRadius(setting) * 3.4
  const random = seededRandom(scatterSeed(setting.latent) ^ 0x1234567)
  const glints = Array.from({ length: 46 }, () => ({
    down: random() ** 1.4,
    across: (random() + random() + random()) / 1.5 - 1,
    phase: random() * 6.3,
    pace: 1.5 + random() * 2.5,
  }))
  return ({ seconds, share }) => {
    const disc = discAt(setting, share)
    context.globalCompositeOperation = 'lighter'
    // The tint greys what the water mirrors; this gives the mirrored disc its warmth back.
    context.globalAlpha = 0.55
    const mirroredY = horizon + (horizon - disc.y) / 1.35
    context.drawImage(glow, disc.x - sheen / 2, mirroredY - sheen / 2, sheen, sheen)
    for (const { down, across, phase, pace } of glints) {
      const y = horizon + 1 + down * depth * 0.92
      const spread = width * (0.02 + down * 0.11)
      const size = width * (0.02 + down * 0.05)
      context.globalAlpha =
        Math.max(0, Math.sin(phase + seconds * pace)) * (palette.night ? 0.35 : 0.5) * (1 - down * 0.5)
      context.drawImage(glint, disc.x + across * spread - size / 2, y, size, Math.max(1.5, height * 0.006))
    }
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
  }
}
