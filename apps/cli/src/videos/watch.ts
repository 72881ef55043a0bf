import { resolve } from 'node:path'
import type { Connection } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import { requireWritable } from '../output-file.ts'
import { followVideo } from './follow-video.ts'
import { reportOutcome } from './outcome.ts'
import { createProgressDisplay } from './progress-display.ts'
import { costText, usageText } from './progress-text.ts'
import { savedText } from './save-video.ts'
import type { Terminal } from './terminal.ts'
import { VideoClient, type VideoClientTimings } from './video-client.ts'

export interface WatchOptions {
  connection: Connection
  id: string
  /** Where the MP4 goes once there is one; null = nowhere. */
  output: string | null
  terminal: Terminal
  /** Aborted by Ctrl-C: the watching ends, the video goes on. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/**
 * Shows an existing video's progress until it is done. Returns the exit code: 0 completed, 1 failed, 3
 * cancelled, 130 after Ctrl-C. Throws ApiError, and UsageError when the file could not be written.
 */
export async function watch(options: WatchOptions): Promise<number> {
  const { connection, id, output, stop, terminal, timings } = options
  if (output !== null) await requireWritable({ option: '--output', path: output })
  const display = createProgressDisplay(terminal)
  const notice = (line: string) => {
    display.end()
    terminal.notice(line)
  }
  const client = new VideoClient(connection, { signal: stop, notice, timings })
  terminal.write(`watching ${id} at ${connection.baseUrl}; Ctrl-C ends the watching, the video goes on\n`)
  try {
    const video = await followVideo(client, await client.retrieve(id), display, stop)
    if (video.status !== 'completed') return reportOutcome(video, terminal)
    if (output !== null) {
      const bytes = await client.download(id, resolve(output))
      terminal.write(`${savedText(video, output, bytes)}\n`)
    }
    terminal.write(`${usageText(video)}, ${costText(video)}\n`)
    return 0
  } catch (error) {
    display.end()
    if (stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}
