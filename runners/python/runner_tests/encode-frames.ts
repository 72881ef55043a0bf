/**
 * Test scaffolding: the encoder of `npm test`, where Python has no PyAV. Arguments and output as
 * sluice_runner/encode_queue.py describes them; encodes as the animatic runner does.
 */
import '@napi-rs/webcodecs/polyfill'
import { readSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  BufferTarget,
  Mp4OutputFormat,
  Output,
  QUALITY_HIGH,
  VideoSample,
  VideoSampleSource,
} from 'mediabunny'
import sharp from 'sharp'
import { writeI420 } from '../../animatic/src/film/pixel-format.ts'

// The runner ends with its stdin, and its encoders with it; signals to the group are not for them.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)

const text = { type: 'string', default: '' } as const
const { values } = parseArgs({
  options: {
    width: text,
    height: text,
    frames: text,
    fps: text,
    video: text,
    thumbnail: text,
    spritesheet: text,
  },
})
const [width, height, frames, fps] = [values.width, values.height, values.frames, values.fps].map(Number) as [
  number,
  number,
  number,
  number,
]

const target = new BufferTarget()
const output = new Output({ format: new Mp4OutputFormat({ fastStart: 'in-memory' }), target })
const source = new VideoSampleSource({
  codec: 'avc',
  quality: QUALITY_HIGH,
  keyFrameInterval: 2,
  hardwareAcceleration: 'prefer-software',
})
output.addVideoTrack(source, { frameRate: fps })
await output.start()
const rgb = Buffer.alloc(width * height * 3)
const rgba = new Uint8Array(width * height * 4)
const planes = new Uint8Array((width * height * 3) / 2)
for (let index = 0; index < frames; index++) {
  readFrame()
  for (let pixel = 0; pixel < width * height; pixel++)
    rgba.set(rgb.subarray(pixel * 3, pixel * 3 + 3), pixel * 4)
  writeI420(rgba, width, height, planes)
  const sample = new VideoSample(planes, {
    format: 'I420',
    codedWidth: width,
    codedHeight: height,
    timestamp: index / fps,
    duration: 1 / fps,
    colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
  })
  await source.add(sample)
  sample.close()
  if (index === 0) {
    const image = sharp(rgb, { raw: { width, height, channels: 3 } })
    await image.clone().webp().toFile(values.thumbnail)
    await image.clone().jpeg().toFile(values.spritesheet)
  }
  process.stdout.write(`frame ${index + 1}\n`)
}
await output.finalize()
if (target.buffer === null) throw new Error('the muxer returned no file')
writeFileSync(values.video, new Uint8Array(target.buffer))

function readFrame(): void {
  for (let filled = 0; filled < rgb.length; ) {
    const read = readSync(0, rgb, filled, rgb.length - filled, null)
    if (read === 0) throw new Error(`the frames end after ${filled} bytes of a frame`)
    filled += read
  }
}
