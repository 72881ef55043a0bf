import { randomUUID } from 'node:crypto'
import { access, constants, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Connection, UsageError } from '../connection/find-connection.ts'
import { followVideo } from './follow-video.ts'
import { createProgressDisplay, type Terminal } from './progress-display.ts'
import { costText, usageText } from './progress-text.ts'
import type { Video, VideoRequest } from './video.ts'
import { createVideoClient, TIMINGS, type VideoClient, type VideoClientTimings } from './video-client.ts'

export interface GenerateOptions {
  connection: Connection
  request: VideoRequest
  /** Where the MP4 goes; null = `<video id>.mp4` in the current folder. */
  output: string | null
  /** Print the finished video as JSON instead of progress and summary. */
  json: boolean
  terminal: Terminal
  /** Aborted by the first Ctrl-C: the video is cancelled. */
  stop: AbortSignal
  /** Aborted by the second: nothing is waited for any more. */
  abandon: AbortSignal
  timings?: VideoClientTimings
}

/** As the shell says it: ended by Ctrl-C. */
export const INTERRUPTED_EXIT = 130
/** A cancelled video is settled after its worker answered, or 30 s without an answer (design of cancel); then we look no longer. */
const SETTLE_MS_MAX = 40_000

/** Makes one video and downloads it. Answers the exit code: 0, 1 when the video failed, 130 after Ctrl-C. Throws ApiError, UsageError. */
export async function generate(options: GenerateOptions): Promise<number> {
  const { terminal } = options
  // Looked at before anything is held: a video that cannot be written down should not be paid.
  if (options.output !== null) await requireWritable(options.output)
  const display = createProgressDisplay(
    options.json ? { ...terminal, write: () => {}, isTTY: false } : terminal,
  )
  // Not ended by the first Ctrl-C: a video that was created must be known, to be cancelled.
  const client = createVideoClient(options.connection, options.abandon, options.timings ?? TIMINGS)
  try {
    const created = await client.create(options.request, randomUUID())
    const { id } = created.video
    if (!options.json)
      terminal.write(`${id}  ${created.video.model}, ${created.video.size}, ${created.video.seconds} s\n`)
    const video = await followVideo(client, created, display, options.stop).catch((error: unknown) => {
      display.end()
      if (options.stop.aborted) return cancelVideo(client, id, terminal, options)
      throw error
    })
    if (options.stop.aborted && video.status !== 'completed') {
      report(video, null, options)
      return INTERRUPTED_EXIT
    }
    if (video.status === 'failed') {
      report(video, null, options)
      return 1
    }
    const path = resolve(options.output ?? `${id}.mp4`)
    const bytes = await client.download(id, path)
    report(video, { path, bytes }, options)
    return 0
  } catch (error) {
    if (options.abandon.aborted) return INTERRUPTED_EXIT
    throw error
  }
}

async function cancelVideo(
  client: VideoClient,
  id: string,
  terminal: Terminal,
  options: GenerateOptions,
): Promise<Video> {
  if (!options.json) terminal.write('cancelling (Ctrl-C again to leave at once)\n')
  let { video, pollAfterMs } = await client.cancel(id).catch(() => client.retrieve(id))
  const giveUpAt = performance.now() + SETTLE_MS_MAX
  while (
    (video.cost?.state === 'held' || video.status === 'queued' || video.status === 'in_progress') &&
    performance.now() < giveUpAt
  ) {
    await delay(pollAfterMs, undefined, { signal: options.abandon })
    ;({ video, pollAfterMs } = await client.retrieve(id))
  }
  return video
}

function report(video: Video, file: { path: string; bytes: number } | null, options: GenerateOptions): void {
  const say = (text: string) => options.terminal.write(`${text}\n`)
  if (options.json) {
    say(JSON.stringify(file === null ? video : { ...video, file }))
    return
  }
  if (file !== null)
    say(`${options.output ?? file.path}: ${sizeText(file.bytes)}, ${video.size}, ${video.seconds} s`)
  else if (video.error?.code === 'cancelled') say('cancelled')
  else
    say(
      `${video.status}: ${video.error ? `${video.error.message} [${video.error.code}]` : 'no reason given'}`,
    )
  say(`${usageText(video)}, ${costText(video)}`)
}

async function requireWritable(output: string): Promise<void> {
  const existing = await stat(output).catch(() => null)
  if (existing?.isDirectory()) throw new UsageError(`--output must name a file, ${output} is a folder`)
  const folder = dirname(resolve(output))
  await access(folder, constants.W_OK).catch(() => {
    throw new UsageError(`--output: the folder ${folder} is not there or cannot be written`)
  })
}

/** Bytes in the unit people read. */
function sizeText(bytes: number): string {
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
