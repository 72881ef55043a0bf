import '@napi-rs/webcodecs/polyfill'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AudioSample,
  AudioSampleSource,
  BufferTarget,
  Mp4OutputFormat,
  Output,
  VideoSample,
  VideoSampleSource,
} from 'mediabunny'
import { afterAll, expect, test } from 'vitest'
import { BadOutputError, checkVideo } from './check-video.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-check-video-'))
afterAll(() => rmSync(folder, { recursive: true }))

const FPS = 8
const RATE = 16_000
const ASKED = { width: 64, height: 48, num_frames: 8, fps: FPS }

/** Writes a clip of one second; `sound`: seconds of it, 0 = no track. */
async function clip(name: string, sound: number): Promise<string> {
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat(), target })
  const video = new VideoSampleSource({ codec: 'avc', bitrate: 200_000 })
  const audio = new AudioSampleSource({ codec: 'aac', bitrate: 64_000 })
  output.addVideoTrack(video, { frameRate: FPS })
  if (sound > 0) output.addAudioTrack(audio)
  await output.start()
  for (let index = 0; index < ASKED.num_frames; index++) {
    const planes = new Uint8Array((ASKED.width * ASKED.height * 3) / 2).fill(index * 20)
    const sample = new VideoSample(planes, {
      format: 'I420',
      codedWidth: ASKED.width,
      codedHeight: ASKED.height,
      timestamp: index / FPS,
      duration: 1 / FPS,
    })
    await video.add(sample)
    sample.close()
  }
  if (sound > 0) {
    const data = Float32Array.from({ length: sound * RATE }, (_, index) => Math.sin(index / 10))
    const sample = new AudioSample({
      data,
      format: 'f32',
      numberOfChannels: 1,
      sampleRate: RATE,
      timestamp: 0,
    })
    await audio.add(sample)
    sample.close()
  }
  await output.finalize()
  if (target.buffer === null) throw new Error('the muxer returned no file')
  const path = join(folder, name)
  writeFileSync(path, new Uint8Array(target.buffer))
  return path
}

test('a clip of a model with sound must have an audio track as long as the clip; of one without, none is needed', async () => {
  const silent = await clip('silent.mp4', 0)
  const whole = await clip('whole.mp4', 1)
  const short = await clip('short.mp4', 0.5)
  await checkVideo(silent, ASKED, { sound: false })
  await checkVideo(whole, ASKED, { sound: true })
  await checkVideo(whole, ASKED, { sound: false })
  await expect(checkVideo(silent, ASKED, { sound: true })).rejects.toThrow('no sound, which its model makes')
  await expect(checkVideo(short, ASKED, { sound: true })).rejects.toThrow(/s of sound, asked 1 s/)
})

test('what differs from what was asked for is named', async () => {
  const path = await clip('one.mp4', 0)
  const asked = { width: 32, height: 48, num_frames: 9, fps: FPS }
  await expect(checkVideo(path, asked, { sound: false })).rejects.toThrow(
    /size 64x48, asked 32x48; 8 frames, asked 9; 1 s, asked 1.125 s/,
  )
  writeFileSync(path, 'no film')
  await expect(checkVideo(path, ASKED, { sound: false })).rejects.toThrow(BadOutputError)
})
