import type { Connection } from '../connection/find-connection.ts'
import { followVideo } from './follow-video.ts'
import { INTERRUPTED_EXIT } from './generate.ts'
import { createProgressDisplay, type Terminal } from './progress-display.ts'
import { costText, usageText } from './progress-text.ts'
import { createVideoClient, TIMINGS, type VideoClientTimings } from './video-client.ts'

export interface WatchOptions {
  connection: Connection
  id: string
  terminal: Terminal
  /** Aborted by Ctrl-C: the watching ends, the video goes on. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/** Shows an existing video's progress until it is done. Answers the exit code: 0 completed, 1 failed, 130 after Ctrl-C. */
export async function watch({
  connection,
  id,
  terminal,
  stop,
  timings = TIMINGS,
}: WatchOptions): Promise<number> {
  const client = createVideoClient(connection, stop, timings)
  const display = createProgressDisplay(terminal)
  try {
    const video = await followVideo(client, await client.retrieve(id), display, stop)
    if (video.status === 'failed')
      terminal.write(
        `failed: ${video.error ? `${video.error.message} [${video.error.code}]` : 'no reason given'}\n`,
      )
    terminal.write(`${usageText(video)}, ${costText(video)}\n`)
    return video.status === 'completed' ? 0 : 1
  } catch (error) {
    display.end()
    if (stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}
