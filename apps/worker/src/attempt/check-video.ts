import type { Generation } from '@sluice/shared/generation'
import { FilePathSource, Input, MP4 } from 'mediabunny'
import { messageOf } from '../error-message.ts'

/** The MP4 is not what was asked for; the message names each difference. */
export class BadOutputError extends Error {
  override name = 'BadOutputError'
}

/**
 * Throws BadOutputError unless the file is an MP4 with one H.264 track of the size, frame count and duration
 * (within half a frame) asked for.
 */
export async function checkVideo(
  path: string,
  asked: Pick<Generation, 'width' | 'height' | 'num_frames' | 'fps'>,
): Promise<void> {
  using input = new Input({ source: new FilePathSource(path), formats: [MP4] })
  let found: { codec: string | null; width: number; height: number; frames: number; seconds: number }
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
    found = { codec, width, height, frames: stats.packetCount, seconds }
  } catch (error) {
    if (error instanceof BadOutputError) throw error
    throw new BadOutputError(`the MP4 cannot be read: ${messageOf(error)}`)
  }
  const askedSeconds = asked.num_frames / asked.fps
  const wrong = [
    found.codec !== 'avc' && `codec ${found.codec}, asked avc`,
    (found.width !== asked.width || found.height !== asked.height) &&
      `size ${found.width}x${found.height}, asked ${asked.width}x${asked.height}`,
    found.frames !== asked.num_frames && `${found.frames} frames, asked ${asked.num_frames}`,
    Math.abs(found.seconds - askedSeconds) > 0.5 / asked.fps && `${found.seconds} s, asked ${askedSeconds} s`,
  ].filter((difference) => difference !== false)
  if (wrong.length > 0) throw new BadOutputError(`the MP4 has ${wrong.join('; ')}`)
}
