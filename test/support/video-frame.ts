import '@napi-rs/webcodecs/polyfill'
import { BufferSource, Input, MP4, VideoSampleSink } from 'mediabunny'
import sharp from 'sharp'

/** The frame that an MP4 shows after `seconds`, as a PNG. */
export async function frameAt(video: Buffer, seconds: number): Promise<Buffer> {
  const input = new Input({ source: new BufferSource(video), formats: [MP4] })
  const track = await input.getPrimaryVideoTrack()
  if (track === null) throw new Error('no video track')
  const sample = await new VideoSampleSink(track).getSample(seconds)
  if (sample === null) throw new Error(`no frame at ${seconds} s`)
  try {
    const { codedWidth: width, codedHeight: height } = sample
    // TypeScript's type of VideoFrame lacks the option.
    const options: VideoFrameCopyToOptions & { format: string } = { format: 'RGBA' }
    const pixels = new Uint8Array(sample.allocationSize(options))
    await sample.copyTo(pixels, options)
    return await sharp(pixels, { raw: { width, height, channels: 4 } })
      .removeAlpha()
      .png()
      .toBuffer()
  } finally {
    sample.close()
  }
}
