import '@napi-rs/webcodecs/polyfill'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Canvas, createCanvas } from '@napi-rs/canvas'
import type { Generation } from '@sluice/shared/generation'
import {
  BufferTarget,
  Mp4OutputFormat,
  Output,
  QUALITY_HIGH,
  VideoSample,
  VideoSampleSource,
} from 'mediabunny'
import sharp from 'sharp'
import { freeFrames } from './frame-memory.ts'
import { clearTimes } from './mp4-times.ts'
import { writeI420 } from './pixel-format.ts'
import type { Reference } from './reference.ts'
import { createScene } from './scene.ts'

export interface Film {
  files: { video: string; thumbnail: string; spritesheet: string }
  /** Seconds. */
  timings: { decode: number; mux: number }
}

export interface FilmProgress {
  phase: 'decode' | 'mux'
  step: number
  steps: number
}

const FREE_EVERY_FRAMES = 12
const SHEET_FRAMES_MAX = 12
const SHEET_CELL_PIXELS = 320
const LIMITED_BT709 = { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false } as const

/** Draws every frame of the finished latent, encodes them and writes video.mp4, thumbnail.webp and spritesheet.jpg into the folder. */
export async function makeFilm(
  generation: Generation,
  latent: Float64Array,
  references: readonly Reference[],
  folder: string,
  onProgress: (progress: FilmProgress) => void,
): Promise<Film> {
  const { width, height, num_frames: frames, fps } = generation
  const started = performance.now()
  const scene = createScene(generation, latent, references)
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: 'in-memory' }), target })
  const source = new VideoSampleSource({
    codec: 'avc',
    fullCodecString: avcCodec(width, height, fps),
    // Constant quality: the encoder's rate control would otherwise let a smooth sky break into blocks.
    quality: QUALITY_HIGH,
    keyFrameInterval: 2,
    hardwareAcceleration: 'prefer-software',
  })
  output.addVideoTrack(source, { frameRate: fps })
  const sheet = createSheet(generation)
  const thumbnailIndex = Math.floor(frames * 0.6)
  let thumbnail = Buffer.alloc(0)
  // One buffer for all frames: the sample copies it before `add` resolves.
  const planes = new Uint8Array((width * height * 3) / 2)
  try {
    await output.start()
    for (let index = 0; index < frames; index++) {
      scene.draw(index)
      const rgba = scene.canvas.data()
      writeI420(rgba, width, height, planes)
      const sample = new VideoSample(planes, {
        format: 'I420',
        codedWidth: width,
        codedHeight: height,
        timestamp: index / fps,
        duration: 1 / fps,
        colorSpace: LIMITED_BT709,
      })
      try {
        await source.add(sample)
      } finally {
        sample.close()
      }
      if (index === thumbnailIndex) thumbnail = Buffer.from(rgba)
      sheet.put(index, scene.canvas)
      onProgress({ phase: 'decode', step: index + 1, steps: frames })
      if (index % FREE_EVERY_FRAMES === FREE_EVERY_FRAMES - 1) await freeFrames()
    }
    await output.finalize()
  } catch (error) {
    await output.cancel()
    throw error
  }
  if (target.buffer === null) throw new Error('the muxer returned no file')
  const drawn = performance.now()
  onProgress({ phase: 'mux', step: 0, steps: 1 })
  const files = {
    video: join(folder, 'video.mp4'),
    thumbnail: join(folder, 'thumbnail.webp'),
    spritesheet: join(folder, 'spritesheet.jpg'),
  }
  const video = new Uint8Array(target.buffer)
  clearTimes(video)
  await writeFile(files.video, video)
  await sharp(thumbnail, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .webp({ quality: 84 })
    .toFile(files.thumbnail)
  const sheetSize = { width: sheet.canvas.width, height: sheet.canvas.height }
  await sharp(sheet.canvas.data(), { raw: { ...sheetSize, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality: 82 })
    .toFile(files.spritesheet)
  onProgress({ phase: 'mux', step: 1, steps: 1 })
  return { files, timings: { decode: (drawn - started) / 1000, mux: (performance.now() - drawn) / 1000 } }
}

/** H.264 High at the lowest level that holds the size and rate (ITU-T H.264 table A-1: macroblocks per frame and per second). */
function avcCodec(width: number, height: number, fps: number): string {
  const macroblocks = Math.ceil(width / 16) * Math.ceil(height / 16)
  const levels = [
    { hex: '1e', frame: 1620, second: 40_500 },
    { hex: '1f', frame: 3600, second: 108_000 },
    { hex: '20', frame: 5120, second: 216_000 },
    { hex: '2a', frame: 8704, second: 522_240 },
  ]
  const level = levels.find(({ frame, second }) => macroblocks <= frame && macroblocks * fps <= second)
  return `avc1.6400${level?.hex ?? '33'}`
}

/** A grid of up to twelve frames, evenly spaced over the clip, in reading order. */
function createSheet({ width, height, num_frames: frames }: Generation) {
  const count = Math.min(frames, SHEET_FRAMES_MAX)
  const columns = Math.min(count, width >= height ? 3 : 6)
  const scale = Math.min(1, SHEET_CELL_PIXELS / Math.max(width, height))
  const cellWidth = Math.round(width * scale)
  const cellHeight = Math.round(height * scale)
  const canvas: Canvas = createCanvas(columns * cellWidth, Math.ceil(count / columns) * cellHeight)
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
    put(index: number, frame: Canvas): void {
      const cell = cellOf.get(index)
      if (cell === undefined) return
      context.drawImage(
        frame,
        (cell % columns) * cellWidth,
        Math.floor(cell / columns) * cellHeight,
        cellWidth,
        cellHeight,
      )
    },
  }
}
