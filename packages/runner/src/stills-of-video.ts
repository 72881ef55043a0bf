import '@napi-rs/webcodecs/polyfill'
import { type Canvas, createCanvas, ImageData } from '@napi-rs/canvas'
import { FilePathSource, Input, MP4, type VideoSample, VideoSampleSink } from 'mediabunny'
import { createContactSheet } from './contact-sheet.ts'
import { thumbnailIndex, writeStills } from './write-stills.ts'

/** The file is no video that the stills can be made from; the message says what it is. */
export class UnusableVideoError extends Error {
  override name = 'UnusableVideoError'
  /** It cannot be read as an MP4, or lacks frames, as a file that is cut off does. */
  readonly isBroken: boolean

  constructor(message: string, { isBroken }: { isBroken: boolean }) {
    super(message)
    this.isBroken = isBroken
  }
}

/**
 * Makes thumbnail.webp and spritesheet.jpg of an MP4 into the folder. Throws UnusableVideoError for a file
 * that has not the size and number of frames, or is no H.264, and what writing throws.
 */
export async function writeStillsOf(
  path: string,
  asked: { width: number; height: number; num_frames: number },
  folder: string,
): Promise<{ thumbnail: string; spritesheet: string }> {
  const { width, height } = asked
  const sheet = createContactSheet(asked)
  const canvas = createCanvas(width, height)
  const thumbnailAt = thumbnailIndex(asked.num_frames)
  let thumbnail = new Uint8ClampedArray()
  let index = 0
  try {
    using input = new Input({ source: new FilePathSource(path), formats: [MP4] })
    for await (const sample of new VideoSampleSink(await trackOf(input, asked)).samples()) {
      // It may go on for hours, and every frame of it would be decoded.
      if (index === asked.num_frames) {
        sample.close()
        throw new UnusableVideoError(`the MP4 has more than ${index} frames, which were asked`, {
          isBroken: false,
        })
      }
      const isThumbnail = index === thumbnailAt
      if (isThumbnail || sheet.has(index)) {
        const pixels = await pixelsOf(sample, canvas)
        if (isThumbnail) thumbnail = pixels
        sheet.put(index, canvas)
      }
      sample.close()
      index++
    }
  } catch (error) {
    if (error instanceof UnusableVideoError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new UnusableVideoError(`the MP4 cannot be read: ${why}`, { isBroken: true })
  }
  if (index < asked.num_frames)
    throw new UnusableVideoError(`the MP4 has ${index} frames, asked ${asked.num_frames}`, { isBroken: true })
  return writeStills(folder, { width, height, thumbnail, sheet: sheet.canvas })
}

async function trackOf(input: Input, asked: { width: number; height: number }) {
  const track = await input.getPrimaryVideoTrack()
  if (track === null) throw new UnusableVideoError('the MP4 has no video track', { isBroken: false })
  const [codec, width, height] = await Promise.all([
    track.getCodec(),
    track.getDisplayWidth(),
    track.getDisplayHeight(),
  ])
  if (codec === 'avc' && width === asked.width && height === asked.height) return track
  const found = `codec ${codec}, size ${width}x${height}`
  throw new UnusableVideoError(`the MP4 has ${found}; asked codec avc, size ${asked.width}x${asked.height}`, {
    isBroken: false,
  })
}

/** The frame as RGBA, which is drawn onto the canvas too. */
async function pixelsOf(sample: VideoSample, canvas: Canvas): Promise<Uint8ClampedArray<ArrayBuffer>> {
  const { width, height } = canvas
  // TypeScript's type of VideoFrame lacks the option.
  const options: VideoFrameCopyToOptions & { format: string } = { format: 'RGBA' }
  const bytes = new Uint8Array(sample.allocationSize(options))
  await sample.copyTo(bytes, options)
  const pixels = new Uint8ClampedArray(bytes.buffer)
  canvas.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0)
  return pixels
}
