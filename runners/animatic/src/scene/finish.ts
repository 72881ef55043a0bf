import { type Canvas, createCanvas } from '@napi-rs/canvas'
import { seededRandom } from '@sluice/shared/seeded-random'
import { type Palette, withAlpha } from './palette.ts'

/** Vignette and a fine fixed grain: the grain breaks up the bands that 8 bits leave in a smooth sky. */
export function finishLayer(width: number, height: number, palette: Palette): Canvas {
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
  const [x, y] = [width / 2, height * 0.46]
  const gradient = context.createRadialGradient(x, y, reach * 0.45, x, y, reach * 1.05)
  gradient.addColorStop(0, withAlpha(palette.near, 0))
  gradient.addColorStop(1, withAlpha(palette.near, 0.55))
  context.fillStyle = gradient
  context.fillRect(0, 0, width, height)
  return canvas
}
