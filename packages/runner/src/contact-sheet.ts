import { type Canvas, createCanvas } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'

const FRAMES_MAX = 12
const CELL_PIXELS = 320

/** A grid of up to twelve frames, evenly spaced over the clip, in reading order. */
export interface ContactSheet {
  canvas: Canvas
  /** Whether the frame is one of those on the sheet. */
  has(index: number): boolean
  /** Draws the frame if it is one of those on the sheet. */
  put(index: number, frame: Canvas): void
}

export function createContactSheet({
  width,
  height,
  num_frames: frames,
}: Pick<Generation, 'width' | 'height' | 'num_frames'>): ContactSheet {
  const count = Math.min(frames, FRAMES_MAX)
  const columns = Math.min(count, width >= height ? 3 : 6)
  const scale = Math.min(1, CELL_PIXELS / Math.max(width, height))
  const cellWidth = Math.round(width * scale)
  const cellHeight = Math.round(height * scale)
  const canvas = createCanvas(columns * cellWidth, Math.ceil(count / columns) * cellHeight)
  const context = canvas.getContext('2d')
  context.fillStyle = '#000000'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.imageSmoothingEnabled = true
  context.imageSmoothingQuality = 'high'
  const cellOf = new Map(
    Array.from(
      { length: count },
      (_, cell) => [count > 1 ? Math.round((cell * (frames - 1)) / (count - 1)) : 0, cell] as const,
    ),
  )
  return {
    canvas,
    has: (index) => cellOf.has(index),
    put(index, frame) {
      const cell = cellOf.get(index)
      if (cell === undefined) return
      const left = (cell % columns) * cellWidth
      const top = Math.floor(cell / columns) * cellHeight
      context.drawImage(frame, left, top, cellWidth, cellHeight)
    },
  }
}
