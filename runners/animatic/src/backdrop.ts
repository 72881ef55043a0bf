import { type Canvas, createCanvas, type SKRSContext2D } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'
import type { Palette } from './palette.ts'
import { withAlpha } from './palette.ts'
import type { Reference } from './reference.ts'

/** How much closer the camera comes over the clip, and how far it moves sideways, as shares of the frame. */
const ZOOM = 0.1
const PAN = 0.035

/** Paints the picture behind the words: the clip's image under a slow camera. `share` of the clip is over, 0 to 1. */
export type BackdropPainter = (share: number) => void

/**
 * The image where it belongs: a head image fills the first frame exactly, a tail image the last, and with both the clip
 * leaves one and arrives at the other. `direction` is where the camera drifts.
 */
export function backdropPainter(
  { width, height }: Generation,
  references: readonly Reference[],
  context: SKRSContext2D,
  direction: 1 | -1,
): BackdropPainter {
  const layers = references.map(({ position, pixels }) => ({
    position,
    canvas: canvasOf(pixels, width, height),
  }))
  const head = layers.find(({ position }) => position === 'head')?.canvas
  const tail = layers.find(({ position }) => position === 'tail')?.canvas
  const paint = (canvas: Canvas, travelled: number, alpha: number): void => {
    const scale = 1 + ZOOM * travelled
    // The frame never leaves the picture: the drift is smaller than what the zoom adds on each side.
    const shift = direction * PAN * travelled * width
    context.globalAlpha = alpha
    context.drawImage(
      canvas,
      (width - width * scale) / 2 + shift,
      (height - height * scale) / 2,
      width * scale,
      height * scale,
    )
    context.globalAlpha = 1
  }
  return (share) => {
    context.globalCompositeOperation = 'source-over'
    if (head !== undefined) paint(head, tail === undefined ? share : Math.sin(share * Math.PI) / 2, 1)
    if (tail !== undefined)
      paint(
        tail,
        head === undefined ? 1 - share : Math.sin(share * Math.PI) / 2,
        head === undefined ? 1 : eased(share),
      )
  }
}

/** Darkens the middle a little, so that white words stand out from any image; the image keeps its colours. */
export function shadeLayer(width: number, height: number, middle: number, palette: Palette): Canvas {
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  const gradient = context.createLinearGradient(0, 0, 0, height)
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
