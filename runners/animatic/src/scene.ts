import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'
import { backdropPainter, shadeLayer } from './backdrop.ts'
import { fontFor } from './fonts.ts'
import { conceptSeed, LATENT_COLUMNS, RIDGE_ROWS } from './latent.ts'
import { mixColours, PALETTES, type Palette, withAlpha } from './palette.ts'
import { seededRandom } from './random.ts'
import type { Reference } from './reference.ts'
import { drawableText, drawTitle, layOutTitle } from './title.ts'

/** Said on every frame, since the picture could be taken for a model's. */
export const NOTICE = 'animatic: no model ran'

const KINDS = ['lake', 'valley', 'sea'] as const

/** A title card that can be drawn at any of its frames, in any order. */
export interface Scene {
  canvas: Canvas
  /** Draws frame `index` (0 to num_frames - 1) on the canvas; the same index always gives the same pixels. */
  draw(index: number): void
}

interface Setting {
  /** The title and where it stands: the disc keeps clear of it. */
  title: Title
  width: number
  height: number
  horizon: number
  kind: (typeof KINDS)[number]
  palette: Palette
  latent: Float64Array
  /** Where the disc stands, 0 to 1 across, and which way the land drifts. */
  discX: number
  direction: 1 | -1
  speed: number
}

/** Where in the clip a frame stands: `seconds` since its start, `share` of it that is over (0 to 1). */
interface Moment {
  seconds: number
  share: number
}

/** Prepares everything that does not change between frames: sky, glow, lights, title. With `references` they are the picture. */
export function createScene(
  generation: Generation,
  latent: Float64Array,
  references: readonly Reference[] = [],
): Scene {
  const { width, height } = generation
  const random = seededRandom(conceptSeed(generation))
  const pick = <Item>(items: readonly [Item, ...Item[]] | readonly Item[]): Item =>
    items[Math.floor(random() * items.length)] as Item
  const kind = pick(KINDS)
  const palette = pick(PALETTES)
  const setting: Setting = {
    title: composeTitle(generation, palette),
    width,
    height,
    horizon: Math.round(height * { lake: 0.71, valley: 1, sea: 0.68 }[kind]),
    kind,
    palette,
    latent,
    discX: (random() < 0.5 ? 0.2 : 0.68) + random() * 0.12,
    direction: random() < 0.5 ? 1 : -1,
    speed: Math.min(2, Math.max(0.3, 0.6 + generation.motion_score * 0.1)),
  }
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const paintPicture =
    references.length === 0
      ? landscapePainter(setting, context)
      : imagePainter(setting, generation, references, context)
  const paintLights = lightsPainter(setting, context)
  const paintWords = wordsPainter(setting, context)
  // A given picture keeps its own light and grain.
  const finish = references.length === 0 ? finishLayer(width, height, setting.palette) : null
  return {
    canvas,
    draw(index) {
      const moment = {
        seconds: (index / generation.fps) * setting.speed,
        share: generation.num_frames > 1 ? index / (generation.num_frames - 1) : 0.4,
      }
      paintPicture(moment)
      paintLights(moment)
      if (finish !== null) context.drawImage(finish, 0, 0)
      paintWords(moment)
    },
  }
}

type Painter = (moment: Moment) => void

/** The drawn picture: scenery, and what lies below its horizon. */
function landscapePainter(setting: Setting, context: SKRSContext2D): Painter {
  const scenery = createCanvas(setting.width, setting.horizon)
  const paintScenery = sceneryPainter(setting, scenery.getContext('2d'))
  const paintGround = groundPainter(setting, context, scenery)
  return (moment) => {
    paintScenery(moment)
    paintGround(moment)
  }
}

/** The given picture, shaded where the words stand. */
function imagePainter(
  setting: Setting,
  generation: Generation,
  references: readonly Reference[],
  context: SKRSContext2D,
): Painter {
  const { width, height, title, palette } = setting
  const paintBackdrop = backdropPainter(generation, references, context, setting.direction)
  const shade = shadeLayer(width, height, (title.top + title.bottom) / 2, palette)
  return ({ share }) => {
    paintBackdrop(share)
    context.drawImage(shade, 0, 0)
  }
}

/** Sky, stars, disc and the far ridges: all that water may mirror. */
function sceneryPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, horizon, palette } = setting
  const early = skyLayer(width, horizon, setting.kind === 'valley' ? height * 0.72 : horizon, palette.sky)
  const late = skyLayer(width, horizon, setting.kind === 'valley' ? height * 0.72 : horizon, palette.skyLater)
  const glow = glowSprite(palette.glow)
  const discRadius = discRadiusOf(setting)
  const random = seededRandom(conceptSeedOf(setting))
  const stars = Array.from({ length: palette.night ? 110 : 34 }, () => ({
    x: random() * width,
    y: random() ** 1.5 * horizon * (palette.night ? 0.85 : 0.45),
    size: (0.5 + random() * 0.9) * Math.max(0.8, Math.min(width, height) / 480),
    phase: random() * 6.3,
  }))
  const clouds = Array.from({ length: 5 }, (_, index) => ({
    x: random(),
    y: 0.3 + random() * 0.45,
    width: 0.35 + random() * 0.5,
    height: 0.014 + random() * 0.03,
    drift: 0.006 + index * 0.003,
  }))
  const cloud = glowSprite(mixColours(palette.sky[3], '#ffffff', 0.25))
  const skyBase = setting.kind === 'valley' ? height * 0.72 : horizon
  return ({ seconds, share }) => {
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
    context.drawImage(early, 0, 0)
    context.globalAlpha = share
    context.drawImage(late, 0, 0)
    context.fillStyle = '#ffffff'
    for (const star of stars) {
      context.globalAlpha =
        (palette.night ? 0.75 : 0.4) * (0.55 + 0.45 * Math.sin(star.phase + seconds * 1.7))
      context.beginPath()
      context.arc(star.x, star.y, star.size, 0, Math.PI * 2)
      context.fill()
    }
    if (palette.name === 'aurora') paintAurora(setting, context, seconds)

    const { x: discX, y: discY } = discAt(setting, discRadius, skyBase, share)
    context.globalCompositeOperation = 'lighter'
    const halo = Math.max(width, height) * (palette.night ? 0.5 : 0.95)
    context.globalAlpha = (palette.night ? 0.4 : 0.55) + 0.04 * Math.sin(seconds * 1.3)
    context.drawImage(glow, discX - halo / 2, discY - halo / 2, halo, halo)
    context.globalAlpha = 0.6
    const inner = discRadius * 5
    context.drawImage(glow, discX - inner / 2, discY - inner / 2, inner, inner)
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
    context.fillStyle = palette.disc
    context.beginPath()
    context.arc(discX, discY, discRadius, 0, Math.PI * 2)
    context.fill()

    context.globalAlpha = palette.night ? 0.08 : 0.2
    for (const { x, y, width: share1, height: share2, drift } of clouds) {
      const cloudWidth = share1 * width
      const left = (((x + setting.direction * drift * seconds) % 1) + 1) % 1
      context.drawImage(
        cloud,
        left * (width + cloudWidth) - cloudWidth,
        y * skyBase,
        cloudWidth,
        Math.max(3, share2 * height * 2),
      )
    }
    context.globalAlpha = 1
    const rows = setting.kind === 'lake' ? 3 : setting.kind === 'valley' ? RIDGE_ROWS : 1
    for (let row = 0; row < rows; row++) paintRidge(setting, context, row, rows, skyBase, seconds)
  }
}

function discRadiusOf({ width, height, palette }: Setting): number {
  return Math.min(width, height) * (palette.night ? 0.052 : 0.085)
}

/** The sun stays below the title and may hide behind the land; the moon stays above it. */
function discAt(
  { width, discX, direction, palette, kind, title }: Setting,
  radius: number,
  skyBase: number,
  share: number,
): { x: number; y: number } {
  const x = width * (discX + direction * 0.03 * share)
  if (palette.night)
    return {
      x,
      y: Math.max(radius * 1.2, Math.min(skyBase * 0.24, title.top - radius * 1.5) - skyBase * 0.04 * share),
    }
  const wanted = skyBase * (kind === 'sea' ? 0.9 - 0.1 * share : 0.76 - 0.1 * share)
  return { x, y: Math.min(skyBase * 0.97, Math.max(wanted, title.ruleY + radius * 1.35)) }
}

function paintAurora(setting: Setting, context: SKRSContext2D, seconds: number): void {
  const { width, horizon, latent, palette } = setting
  context.globalCompositeOperation = 'lighter'
  const columns = 46
  for (let curtain = 0; curtain < 2; curtain++) {
    const colour = curtain === 0 ? palette.accent : '#6f7dff'
    for (let column = 0; column < columns; column++) {
      const wave = latent[(curtain + 3) * LATENT_COLUMNS + (column % LATENT_COLUMNS)] ?? 0
      const at = column / columns
      const y =
        horizon * (0.34 + curtain * 0.09 + 0.1 * Math.sin(at * 5 + seconds * 0.5 + curtain * 2) + 0.05 * wave)
      const tall = horizon * (0.26 + 0.1 * Math.sin(at * 11 + seconds * 0.8 + curtain))
      const gradient = context.createLinearGradient(0, y - tall, 0, y)
      const strength = 0.07 + 0.06 * Math.sin(at * 17 - seconds * 0.9 + curtain * 3)
      gradient.addColorStop(0, withAlpha(colour, 0))
      gradient.addColorStop(0.75, withAlpha(colour, strength))
      gradient.addColorStop(1, withAlpha(colour, 0))
      context.fillStyle = gradient
      // Wider than a column: neighbours overlap and the curtain has no seams.
      context.fillRect(at * width - width / columns, y - tall, (width / columns) * 3, tall)
    }
  }
  context.globalCompositeOperation = 'source-over'
}

/** One silhouette, hazier the farther it is; the latent is its skyline. */
function paintRidge(
  setting: Setting,
  context: SKRSContext2D,
  row: number,
  rows: number,
  skyBase: number,
  seconds: number,
): void {
  const { width, height, palette, horizon } = setting
  const nearness = rows === 1 ? 0 : row / (rows - 1)
  const colour = mixColours(
    mixColours(palette.far, palette.sky[3], 0.22 * (1 - nearness)),
    palette.near,
    nearness ** 0.85 * (rows === 3 ? 0.72 : 0.94),
  )
  const reach = Math.min(height, width * 1.2)
  const base =
    setting.kind === 'valley'
      ? skyBase - reach * 0.05 + (height * 1.02 - skyBase) * nearness ** 0.9
      : horizon - reach * (0.085 * (1 - nearness) + 0.012)
  const tall = reach * (setting.kind === 'sea' ? 0.035 : 0.115 - 0.035 * nearness)
  const columnsShown = (setting.kind === 'sea' ? 40 : 30 - row * 2.5) * Math.min(1, (width / height) ** 0.6)
  const scroll = setting.direction * seconds * (0.12 + nearness * 0.75)
  const stepPixels = Math.max(2, Math.min(width, height) / 110)
  context.beginPath()
  context.moveTo(0, horizon + 2)
  for (let x = 0; x <= width + stepPixels; x += stepPixels) {
    context.lineTo(
      x,
      base -
        tall *
          skyline(setting.latent, row, (x / width) * columnsShown + scroll + row * 11, row < 3 ? 0.16 : 0.05),
    )
  }
  context.lineTo(width + stepPixels, horizon + 2)
  context.closePath()
  const gradient = context.createLinearGradient(0, base - tall, 0, Math.min(horizon, base + tall * 2.4))
  gradient.addColorStop(0, colour)
  gradient.addColorStop(
    1,
    mixColours(
      colour,
      palette.sky[3],
      setting.kind === 'valley' ? 0.42 * (1 - nearness) : 0.25 * (1 - nearness),
    ),
  )
  context.fillStyle = gradient
  context.fill()
}

/** Height of a ridge at a fractional column, -1 to 1 and a little beyond: a smooth curve through the latent plus finer crags of it. */
function skyline(latent: Float64Array, row: number, column: number, crag: number): number {
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

/** What lies below the horizon. */
function groundPainter(setting: Setting, context: SKRSContext2D, scenery: Canvas): Painter {
  const { width, height, horizon, palette, kind } = setting
  const depth = height - horizon
  if (kind === 'valley') {
    return () => {
      context.globalAlpha = 1
      context.drawImage(scenery, 0, 0)
    }
  }
  const tint = createCanvas(width, Math.max(1, depth))
  const tintContext = tint.getContext('2d')
  const tintGradient = tintContext.createLinearGradient(0, 0, 0, depth)
  tintGradient.addColorStop(0, withAlpha(palette.near, 0.12))
  tintGradient.addColorStop(1, withAlpha(palette.near, 0.78))
  tintContext.fillStyle = tintGradient
  tintContext.fillRect(0, 0, width, depth)
  const glint = glowSprite(palette.disc)
  const glow = glowSprite(palette.glow)
  const discRadius = discRadiusOf(setting)
  const random = seededRandom(conceptSeedOf(setting) ^ 0x1234567)
  const glints = Array.from({ length: 46 }, () => ({
    down: random() ** 1.4,
    across: (random() + random() + random()) / 1.5 - 1,
    phase: random() * 6.3,
    pace: 1.5 + random() * 2.5,
  }))
  const stripHeight = Math.max(2, Math.round(height / 150))
  return (moment) => {
    const { seconds, share } = moment
    context.globalAlpha = 1
    context.drawImage(scenery, 0, 0)
    for (let y = 0; y < depth; y += stripHeight) {
      const near = y / depth
      const sway =
        Math.sin(y * 0.55 * (150 / height) * 3 + seconds * 2.2) + 0.6 * Math.sin(y * 0.21 + seconds * 1.3)
      const offset = sway * (0.4 + near * 5) * (Math.min(width, height) / 560)
      const from = Math.max(
        0,
        horizon - stripHeight - y * 1.35 + Math.sin(y * 0.8 - seconds * 2.6) * near * 6,
      )
      // A little wider than the frame, so that the sway never shows an edge.
      context.drawImage(
        scenery,
        0,
        from,
        width,
        stripHeight,
        -8 + offset,
        horizon + y,
        width + 16,
        stripHeight,
      )
    }
    context.drawImage(tint, 0, horizon)
    if (kind === 'sea') paintSwell(setting, context, seconds)
    context.globalCompositeOperation = 'lighter'
    const { x: discX, y: discY } = discAt(setting, discRadius, horizon, share)
    // The tint greys what the water mirrors; this gives the mirrored disc its warmth back.
    context.globalAlpha = 0.55
    const sheen = discRadius * 3.4
    context.drawImage(glow, discX - sheen / 2, horizon + (horizon - discY) / 1.35 - sheen / 2, sheen, sheen)
    for (const { down, across, phase, pace } of glints) {
      const y = horizon + 1 + down * depth * 0.92
      const spread = width * (0.02 + down * 0.11)
      const size = width * (0.02 + down * 0.05)
      context.globalAlpha =
        Math.max(0, Math.sin(phase + seconds * pace)) * (palette.night ? 0.35 : 0.5) * (1 - down * 0.5)
      context.drawImage(glint, discX + across * spread - size / 2, y, size, Math.max(1.5, height * 0.006))
    }
    context.globalCompositeOperation = 'source-over'
    context.globalAlpha = 1
  }
}

function paintSwell(setting: Setting, context: SKRSContext2D, seconds: number): void {
  const { width, height, horizon, palette, latent } = setting
  const depth = height - horizon
  const stepPixels = Math.max(3, width / 90)
  for (let row = 1; row < RIDGE_ROWS; row++) {
    const nearness = row / (RIDGE_ROWS - 1)
    const base = horizon + depth * (0.1 + 0.72 * nearness ** 1.25)
    const tall = depth * (0.045 + 0.12 * nearness)
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
    const crest = mixColours(palette.far, palette.near, 0.25 + nearness * 0.6)
    const gradient = context.createLinearGradient(0, base - tall, 0, base + depth * 0.5)
    gradient.addColorStop(0, withAlpha(mixColours(crest, palette.sky[3], 0.16 * (1 - nearness * 0.6)), 0.62))
    gradient.addColorStop(1, withAlpha(palette.near, 0.85))
    context.fillStyle = gradient
    context.fill()
    // The path's outline leaves the frame on the other three sides: only the crest catches the light.
    context.strokeStyle = withAlpha(mixColours(palette.sky[3], palette.disc, 0.4), 0.2 - 0.12 * nearness)
    context.lineWidth = Math.max(1, height / 420)
    context.stroke()
  }
}

/** Slow lights that drift across everything: fireflies by night, dust in the sun by day. */
function lightsPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, latent, palette } = setting
  const sprite = glowSprite(palette.accent)
  const row = (index: number, light: number): number =>
    latent[(RIDGE_ROWS + index) * LATENT_COLUMNS + light] ?? 0
  const wrapped = (value: number): number => ((value % 1) + 1) % 1
  return ({ seconds }) => {
    context.globalCompositeOperation = 'lighter'
    for (let light = 0; light < 34; light++) {
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

interface Title {
  layer: Canvas
  /** First and last pixel row of the lines, and the row of the time line beneath them. */
  top: number
  bottom: number
  ruleY: number
}

function composeTitle({ prompt, width, height }: Generation, palette: Palette): Title {
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

/** The prompt, a thin line that fills as time passes, and the notice. */
function wordsPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, palette, title } = setting
  const shorter = Math.min(width, height)
  const ruleWidth = Math.max(28, width * 0.1)
  const ruleHeight = Math.max(1.5, shorter * 0.005)
  const noticePixels = Math.max(8, Math.round(shorter * 0.024))
  const noticeFont = fontFor(NOTICE, 400, noticePixels)
  return ({ share }) => {
    context.save()
    const scale = 1 + 0.022 * share
    context.translate(width / 2, (title.top + title.bottom) / 2)
    context.scale(scale, scale)
    context.drawImage(title.layer, -title.layer.width / 2, -title.layer.height / 2)
    context.restore()

    context.fillStyle = withAlpha('#ffffff', 0.28)
    context.fillRect(width / 2 - ruleWidth / 2, title.ruleY, ruleWidth, ruleHeight)
    context.fillStyle = palette.accent
    context.fillRect(width / 2 - ruleWidth / 2, title.ruleY, ruleWidth * share, ruleHeight)

    context.font = noticeFont
    context.textAlign = 'center'
    context.textBaseline = 'alphabetic'
    context.letterSpacing = `${(noticePixels * 0.06).toFixed(2)}px`
    context.fillStyle = withAlpha('#ffffff', 0.72)
    context.fillText(NOTICE, width / 2, height - Math.round(Math.max(5, shorter * 0.03)))
  }
}

function skyLayer(width: number, height: number, base: number, colours: Palette['sky']): Canvas {
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, 0, base)
  const stops = [0, 0.38, 0.74, 1]
  colours.forEach((colour, index) => {
    gradient.addColorStop(stops[index] ?? 1, colour)
  })
  context.fillStyle = gradient
  context.fillRect(0, 0, width, height)
  return canvas
}

/** A round soft light on a transparent square. */
function glowSprite(colour: string): Canvas {
  const size = 192
  const canvas = createCanvas(size, size)
  const context = canvas.getContext('2d')
  const gradient = context.createRadialGradient(size / 2, size / 2, 0, size / 2, size / 2, size / 2)
  for (let stop = 0; stop <= 8; stop++)
    gradient.addColorStop(stop / 8, withAlpha(colour, (1 - stop / 8) ** 2.4))
  context.fillStyle = gradient
  context.fillRect(0, 0, size, size)
  return canvas
}

/** Vignette and a fine fixed grain: the grain breaks up the bands that 8 bits leave in a smooth sky. */
function finishLayer(width: number, height: number, palette: Palette): Canvas {
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const image = context.createImageData(width, height)
  const random = seededRandom(20_26)
  for (let index = 0; index < image.data.length; index += 4) {
    const bright = random() < 0.5 ? 0 : 255
    image.data[index] = bright
    image.data[index + 1] = bright
    image.data[index + 2] = bright
    image.data[index + 3] = Math.floor(random() * 7)
  }
  context.putImageData(image, 0, 0)
  const reach = Math.hypot(width, height) / 2
  const gradient = context.createRadialGradient(
    width / 2,
    height * 0.46,
    reach * 0.45,
    width / 2,
    height * 0.46,
    reach * 1.05,
  )
  gradient.addColorStop(0, withAlpha(palette.near, 0))
  gradient.addColorStop(1, withAlpha(palette.near, 0.55))
  context.fillStyle = gradient
  context.fillRect(0, 0, width, height)
  return canvas
}

/** Seeds what the picture scatters from the latent itself, so that it is part of what the steps made. */
function conceptSeedOf(setting: Setting): number {
  return Math.floor(((setting.latent[0] ?? 0) + 2) * 100_000_000)
}
