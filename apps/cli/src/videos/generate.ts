import { randomUUID } from 'node:crypto'
import { access, constants, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pause } from '@sluice/shared/pause'
import { type Connection, UsageError } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import { followVideo } from './follow-video.ts'
import { createProgressDisplay, type Terminal } from './progress-display.ts'
import { costText, usageText } from './progress-text.ts'
import { failureText, isDone, type Video, type VideoRequest } from './video.ts'
import { VideoClient, type VideoClientTimings } from './video-client.ts'

export interface GenerateOptions {
  connection: Connection
  request: VideoRequest
  /** Where the MP4 goes; null = `<video id>.mp4` in the current folder. */
  output: string | null
  /** Print the finished video as JSON instead of progress and summary. */
  isJson: boolean
  terminal: Terminal
  /** Aborted by the first Ctrl-C: the video is cancelled. */
  stop: AbortSignal
  /** Aborted by the second Ctrl-C: every wait ends. */
  abandon: AbortSignal
  timings?: VideoClientTimings
}

/** A cancelled video is settled once its worker answered, or after 30 s without an answer. */
const SETTLE_MS_MAX = 40_000

/**
 * Makes one video and downloads it. Returns the exit code: 0, 1 when the video failed, 130 after Ctrl-C.
 * Throws ApiError, and UsageError before anything is submitted when the file could not be written.
 */
export async function generate(options: GenerateOptions): Promise<number> {
  if (options.output !== null) await requireWritable(options.output)
  // Not ended by the first Ctrl-C: the id of a created video must be known, to cancel it.
  const client = new VideoClient(options.connection, options.abandon, options.timings)
  try {
    const video = await makeVideo(client, options)
    if (video.status === 'completed') {
      const path = resolve(options.output ?? `${video.id}.mp4`)
      report(video, { path, bytes: await client.download(video.id, path) }, options)
      return 0
    }
    report(video, null, options)
    return options.stop.aborted ? INTERRUPTED_EXIT : 1
  } catch (error) {
    if (options.abandon.aborted) return INTERRUPTED_EXIT
    throw error
  }
}

/** Submits the video and shows its progress until it is done; cancels it when `stop` is aborted. */
async function makeVideo(client: VideoClient, options: GenerateOptions): Promise<Video> {
  const { terminal, isJson, stop } = options
  const display = createProgressDisplay(isJson ? { ...terminal, write: () => {}, isTTY: false } : terminal)
  const created = await client.create(options.request, randomUUID())
  const { id, model, size, seconds } = created.video
  if (!isJson) terminal.write(`${id}  ${model}, ${size}, ${seconds} s\n`)
  try {
    return await followVideo(client, created, display, stop)
  } catch (error) {
    display.end()
    if (stop.aborted) return await cancelVideo(client, id, options)
    throw error
  }
}

/** Cancels the video and waits until it is settled. */
async function cancelVideo(client: VideoClient, id: string, options: GenerateOptions): Promise<Video> {
  if (!options.isJson) options.terminal.write('cancelling (Ctrl-C again to leave at once)\n')
  let { video, pollAfterMs } = await client.cancel(id).catch(() => client.retrieve(id))
  const giveUpAt = performance.now() + SETTLE_MS_MAX
  while ((video.cost?.state === 'held' || !isDone(video)) && performance.now() < giveUpAt) {
    await pause(pollAfterMs, options.abandon)
    options.abandon.throwIfAborted()
    ;({ video, pollAfterMs } = await client.retrieve(id))
  }
  return video
}

function report(video: Video, file: { path: string; bytes: number } | null, options: GenerateOptions): void {
  const print = (text: string) => options.terminal.write(`${text}\n`)
  if (options.isJson) {
    print(JSON.stringify(file === null ? video : { ...video, file }))
    return
  }
  if (file !== null) {
    print(`${options.output ?? file.path}: ${sizeText(file.bytes)}, ${video.size}, ${video.seconds} s`)
  } else if (video.error?.code === 'cancelled') {
    print('cancelled')
  } else {
    print(`${video.status}: ${failureText(video)}`)
  }
  print(`${usageText(video)}, ${costText(video)}`)
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
