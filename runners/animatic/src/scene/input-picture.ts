import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import type { InputImage } from '../input-image.ts'
import { withAlpha } from './palette.ts'
import type { Painter, Setting } from './setting.ts'

/** How much closer the camera comes over the clip, and how far it moves sideways, as shares of the frame. */
const ZOOM = 0.1
const PAN = 0.035

/** Mode i2v: the input images under a slow camera, shaded where the words stand. */
export function inputPicturePainter(
  setting: Setting,
  images: readonly InputImage[],
  context: SKRSContext2D,
): Painter {
  const paintImages = imagesPainter(setting, images, context)
  const shade = shadeLayer(setting)
  return (moment) => {
    paintImages(moment)
    context.drawImage(shade, 0, 0)
  }
}

/**
 * A head image fills the first frame exactly, a tail image the last. With both the clip leaves one and
 * arrives at the other.
 */
function imagesPainter(setting: Setting, images: readonly InputImage[], context: SKRSContext2D): Painter {
  const canvasAt = (position: InputImage['position']): Canvas | undefined => {
    const image = images.find((candidate) => candidate.position === position)
    return image && canvasOf(image.pixels, setting.width, setting.height)
  }
  const [head, tail] = [canvasAt('head'), canvasAt('tail')]
  const paint = cameraOn(setting, context)
  return ({ share }) => {
    context.globalCompositeOperation = 'source-over'
    if (head !== undefined && tail !== undefined) {
      const travelled = Math.sin(share * Math.PI) / 2
      paint(head, travelled, 1)
      paint(tail, travelled, eased(share))
    } else if (head !== undefined) paint(head, share, 1)
    else if (tail !== undefined) paint(tail, 1 - share, 1)
  }
}

/** Draws an image with the camera `travelled` (0 to 1) of its way. */
function cameraOn(
  { width, height, direction }: Setting,
  context: SKRSContext2D,
): (image: Canvas, travelled: number, alpha: number) => void {
  return (image, travelled, alpha) => {
    const scale = 1 + ZOOM * travelled
    // The frame never leaves the picture: the drift is smaller than what the zoom adds on each side.
    const shift = direction * PAN * travelled * width
    const left = (width - width * scale) / 2 + shift
    const top = (height - height * scale) / 2
    context.globalAlpha = alpha
    context.drawImage(image, left, top, width * scale, height * scale)
    context.globalAlpha = 1
  }
}

/** Darkens the middle a little, so that white words stand out from any image; the image keeps its colours. */
function shadeLayer({ width, height, title, palette }: Setting): Canvas {
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, 0, height)
  const middle = (title.top + title.bottom) / 2
  const at = Math.min(0.8, Math.max(0.2, middle / height))
  for (const [stop, alpha] of [
    [0, 0],
    [at, 0.12],
    [Math.min(0.9, at + 0.35), 0.04],
    [1, 0.14],
  ] as const) {
    gradient.addColorStop(stop, withAlpha(palette.near, alpha))
  }
  context.fillStyle = gradient
  context.fillRect(0, 0, width, height)
  return canvas
}

function canvasOf(pixels: Uint8ClampedArray, width: number, height: number): Canvas {
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const image = context.createImageData(width, height)
  image.data.set(pixels)
  context.putImageData(image, 0, 0)
  return canvas
}

function eased(share: number): number {
  return share * share * (3 - 2 * share)
}
