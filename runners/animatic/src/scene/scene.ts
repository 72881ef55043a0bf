import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'
import { seededRandom } from '@sluice/shared/seeded-random'
import type { InputImage } from '../input-image.ts'
import { conceptSeed } from '../latent.ts'
import { finishLayer } from './finish.ts'
import { inputPicturePainter } from './input-picture.ts'
import { lightsPainter } from './lights.ts'
import { PALETTES } from './palette.ts'
import { sceneryPainter } from './scenery.ts'
import { KINDS, type Painter, type Setting } from './setting.ts'
import { composeTitle } from './title-block.ts'
import { waterPainter } from './water.ts'
import { wordsPainter } from './words.ts'

/** Of a model that has no motion score. */
const USUAL_MOTION = 4

/** A title card that can be drawn at any of its frames, in any order. */
export interface Scene {
  canvas: Canvas
  /** Draws frame `index` (0 to num_frames - 1) on the canvas; the same index always gives the same pixels. */
  draw(index: number): void
}

/** Prepares what does not change between frames. With `images`, they are the picture behind the words. */
export function createScene(
  generation: Generation,
  latent: Float64Array,
  images: readonly InputImage[],
): Scene {
  const setting = chooseSetting(generation, latent)
  const canvas = createCanvas(setting.width, setting.height)
  const context = canvas.getContext('2d')
  const isDrawn = images.length === 0
  const paintPicture = isDrawn
    ? landscapePainter(setting, context)
    : inputPicturePainter(setting, images, context)
  const paintLights = lightsPainter(setting, context)
  const paintWords = wordsPainter(setting, context)
  // A given picture keeps its own light and grain.
  const finish = isDrawn ? finishLayer(setting.width, setting.height, setting.palette) : null
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

/** What words and seed choose. The order in which random numbers are taken is part of the picture. */
function chooseSetting(generation: Generation, latent: Float64Array): Setting {
  const { width, height } = generation
  const random = seededRandom(conceptSeed(generation))
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
  const kind = pick(KINDS)
  const palette = pick(PALETTES)
  const discX = (random() < 0.5 ? 0.2 : 0.68) + random() * 0.12
  const direction = random() < 0.5 ? 1 : -1
  const horizon = Math.round(height * { lake: 0.71, valley: 1, sea: 0.68 }[kind])
  return {
    title: composeTitle(generation, palette),
    width,
    height,
    horizon,
    skyBase: kind === 'valley' ? height * 0.72 : horizon,
    kind,
    palette,
    latent,
    discX,
    direction,
    speed: Math.min(2, Math.max(0.3, 0.6 + (generation.motion_score ?? USUAL_MOTION) * 0.1)),
  }
}

/** The drawn picture: what lies above the horizon on a canvas of its own, and the water that mirrors it. */
function landscapePainter(setting: Setting, context: SKRSContext2D): Painter {
  const scenery = createCanvas(setting.width, setting.horizon)
  const paintScenery = sceneryPainter(setting, scenery.getContext('2d'))
  const paintWater = setting.kind === 'valley' ? null : waterPainter(setting, context, scenery)
  return (moment) => {
    paintScenery(moment)
    context.globalAlpha = 1
    context.drawImage(scenery, 0, 0)
    paintWater?.(moment)
  }
}
