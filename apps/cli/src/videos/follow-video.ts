import { setTimeout as delay } from 'node:timers/promises'
import type { ProgressDisplay } from './progress-display.ts'
import { isDone, type Video } from './video.ts'
import type { Answer, VideoClient } from './video-client.ts'

/** Asks until the video is done, as often as the API wishes, and shows each answer. Rejects when `stop` is aborted. */
export async function followVideo(
  client: VideoClient,
  first: Answer,
  display: ProgressDisplay,
  stop: AbortSignal,
): Promise<Video> {
  let answer = first
  display.show(answer.video)
  while (!isDone(answer.video)) {
    await delay(answer.pollAfterMs, undefined, { signal: stop })
    answer = await client.retrieve(answer.video.id)
    stop.throwIfAborted()
    display.show(answer.video)
  }
  display.end()
  return answer.video
}
