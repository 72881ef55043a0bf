import '@napi-rs/webcodecs/polyfill'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Canvas } from '@napi-rs/canvas'
import { createContactSheet } from '@sluice/runner/contact-sheet'
import { thumbnailIndex, writeStills } from '@sluice/runner/write-stills'
import type { Generation } from '@sluice/shared/generation'
import {
  BufferTarget,
  Mp4OutputFormat,
  Output,
  QUALITY_HIGH,
  VideoSample,
  VideoSampleSource,
} from 'mediabunny'
import type { InputImage } from '../input-image.ts'
import { createScene, type Scene } from '../scene/scene.ts'
import { freeFrames } from './frame-memory.ts'
import { clearTimes } from './mp4-times.ts'
import { writeI420 } from './pixel-format.ts'

/** What a film is made from: a latent after its last step, and the folder its files go into. */
export interface FilmJob {
  generation: Generation
  latent: Float64Array
  images: readonly InputImage[]
  folder: string
}

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
const LIMITED_BT709 = { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false } as const

/**
 * Draws every frame of the finished latent, encodes them and writes video.mp4, thumbnail.webp and
 * spritesheet.jpg into the folder.
 * @throws Error when drawing, encoding or writing fails.
 */
export async function makeFilm(job: FilmJob, onProgress: (progress: FilmProgress) => void): Promise<Film> {
  const started = performance.now()
  const pictures = await encodeFrames(job, onProgress)
  const encoded = performance.now()
  onProgress({ phase: 'mux', step: 0, steps: 1 })
  const files = await writeFiles(job, pictures)
  onProgress({ phase: 'mux', step: 1, steps: 1 })
  return { files, timings: { decode: (encoded - started) / 1000, mux: (performance.now() - encoded) / 1000 } }
}

interface Pictures {
  mp4: Uint8Array
  /** RGBA of the video's size. */
  thumbnail: Buffer
  sheet: Canvas
}

async function encodeFrames(
  { generation, latent, images }: FilmJob,
  onProgress: (progress: FilmProgress) => void,
): Promise<Pictures> {
  const { num_frames: frames } = generation
  const scene = createScene(generation, latent, images)
  const encoder = openEncoder(generation)
  const sheet = createContactSheet(generation)
  const thumbnailAt = thumbnailIndex(frames)
  let thumbnail = Buffer.alloc(0)
  try {
    await encoder.start()
    for (let index = 0; index < frames; index++) {
      scene.draw(index)
      await encoder.add(scene, index)
      if (index === thumbnailAt) thumbnail = Buffer.from(scene.canvas.data())
      sheet.put(index, scene.canvas)
      onProgress({ phase: 'decode', step: index + 1, steps: frames })
      if (index % FREE_EVERY_FRAMES === FREE_EVERY_FRAMES - 1) await freeFrames()
    }
    return { mp4: await encoder.finish(), thumbnail, sheet: sheet.canvas }
  } catch (error) {
    await encoder.cancel()
    throw error
  }
}

interface FrameEncoder {
  start(): Promise<void>
  add(scene: Scene, index: number): Promise<void>
  finish(): Promise<Uint8Array>
  cancel(): Promise<void>
}

/** Encodes to an MP4 in memory; calls must not overlap. */
function openEncoder({ width, height, fps }: Generation): FrameEncoder {
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
  // One buffer for all frames: the sample copies it before `add` resolves.
  const planes = new Uint8Array((width * height * 3) / 2)
  return {
    start: () => output.start(),
    async add(scene, index) {
      writeI420(scene.canvas.data(), width, height, planes)
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
    },
    async finish() {
      await output.finalize()
      if (target.buffer === null) throw new Error('the muxer returned no file')
      const mp4 = new Uint8Array(target.buffer)
      clearTimes(mp4)
      return mp4
    },
    cancel: () => output.cancel(),
  }
}

async function writeFiles(
  { generation, folder }: FilmJob,
  { mp4, thumbnail, sheet }: Pictures,
): Promise<Film['files']> {
  const { width, height } = generation
  const video = join(folder, 'video.mp4')
  await writeFile(video, mp4)
  return { video, ...(await writeStills(folder, { width, height, thumbnail, sheet })) }
}

/**
 * H.264 High at the lowest level that fits the size and rate (ITU-T H.264 table A-1: macroblocks per frame
 * and per second).
 */
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
