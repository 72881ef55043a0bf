import type { Generation } from '@sluice/shared/generation'
import { FilePathSource, Input, MP4 } from 'mediabunny'
import { messageOf } from '../error-message.ts'

/** The MP4 is not what was asked for; the message names each difference. */
export class BadOutputError extends Error {
  override name = 'BadOutputError'
}

interface Found {
  codec: string | null
  width: number
  height: number
  frames: number
  seconds: number
  /** Null = the file has no audio track. */
  sound: { seconds: number } | null
}

/** A sound may be so much longer or shorter: a frame of AAC at 16 kHz is 64 ms, and coders add two. */
const SOUND_OFF_BY_S_MAX = 0.25

/**
 * Throws BadOutputError unless the file is an MP4 with one H.264 track of the size, frame count and duration
 * (within half a frame) asked for and, for a model with sound, an audio track as long.
 */
export async function checkVideo(
  path: string,
  asked: Pick<Generation, 'width' | 'height' | 'num_frames' | 'fps'>,
  { sound }: { sound: boolean },
): Promise<void> {
  const found = await read(path)
  const askedSeconds = asked.num_frames / asked.fps
  const wrong = [
    found.codec !== 'avc' && `codec ${found.codec}, asked avc`,
    (found.width !== asked.width || found.height !== asked.height) &&
      `size ${found.width}x${found.height}, asked ${asked.width}x${asked.height}`,
    found.frames !== asked.num_frames && `${found.frames} frames, asked ${asked.num_frames}`,
    Math.abs(found.seconds - askedSeconds) > 0.5 / asked.fps && `${found.seconds} s, asked ${askedSeconds} s`,
    sound && found.sound === null && 'no sound, which its model makes',
    sound &&
      found.sound !== null &&
      Math.abs(found.sound.seconds - askedSeconds) > SOUND_OFF_BY_S_MAX &&
      `${found.sound.seconds} s of sound, asked ${askedSeconds} s`,
  ].filter((difference) => difference !== false)
  if (wrong.length > 0) throw new BadOutputError(`the MP4 has ${wrong.join('; ')}`)
}

/** Throws BadOutputError. */
async function read(path: string): Promise<Found> {
  using input = new Input({ source: new FilePathSource(path), formats: [MP4] })
  try {
    const track = await input.getPrimaryVideoTrack()
    if (track === null) throw new BadOutputError('the MP4 has no video track')
    const [codec, width, height, stats, seconds] = await Promise.all([
      track.getCodec(),
      track.getDisplayWidth(),
      track.getDisplayHeight(),
      track.computePacketStats(),
      track.computeDuration(),
    ])
    const audio = await input.getPrimaryAudioTrack()
    const sound = audio === null ? null : { seconds: await audio.computeDuration() }
    return { codec, width, height, frames: stats.packetCount, seconds, sound }
  } catch (error) {
    if (error instanceof BadOutputError) throw error
    throw new BadOutputError(`the MP4 cannot be read: ${messageOf(error)}`)
  }
}
