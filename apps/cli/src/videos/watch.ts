import type { Connection } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import { followVideo } from './follow-video.ts'
import { createProgressDisplay, type Terminal } from './progress-display.ts'
import { costText, usageText } from './progress-text.ts'
import { failureText } from './video.ts'
import { VideoClient, type VideoClientTimings } from './video-client.ts'

export interface WatchOptions {
  connection: Connection
  id: string
  terminal: Terminal
  /** Aborted by Ctrl-C: the watching ends, the video goes on. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/**
 * Shows an existing video's progress until it is done. Returns the exit code: 0 completed, 1 failed, 130
 * after Ctrl-C. Throws ApiError.
 */
export async function watch(options: WatchOptions): Promise<number> {
  const { terminal, stop } = options
  const client = new VideoClient(options.connection, stop, options.timings)
  const display = createProgressDisplay(terminal)
  try {
    const video = await followVideo(client, await client.retrieve(options.id), display, stop)
    if (video.status === 'failed') terminal.write(`failed: ${failureText(video)}\n`)
    terminal.write(`${usageText(video)}, ${costText(video)}\n`)
    return video.status === 'completed' ? 0 : 1
  } catch (error) {
    display.end()
    if (stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}
