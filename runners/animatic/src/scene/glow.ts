import { type Canvas, createCanvas } from '@napi-rs/canvas'
import { withAlpha } from './palette.ts'

/** A round soft light on a transparent square. */
export function glowSprite(colour: string): Canvas {
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
