import { pause } from '@sluice/shared/pause'
import type { ProgressDisplay } from './progress-display.ts'
import { isDone, type Video } from './video.ts'
import type { Answer, VideoClient } from './video-client.ts'

/**
 * Polls until the video is done, as often as the API wishes, and shows each answer. Returns the finished
 * video. Rejects when `stop` is aborted.
 */
export async function followVideo(
  client: VideoClient,
  first: Answer,
  display: ProgressDisplay,
  stop: AbortSignal,
): Promise<Video> {
  let answer = first
  display.show(answer.video)
  while (!isDone(answer.video)) {
    await pause(answer.pollAfterMs, stop)
    stop.throwIfAborted()
    answer = await client.retrieve(answer.video.id)
    stop.throwIfAborted()
    display.show(answer.video)
  }
  display.end()
  return answer.video
}
