import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { pause } from '@sluice/shared/pause'
import type { Connection } from '../connection/find-connection.ts'
import { ApiError } from '../connection/http-client.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import { requireWritable } from '../output-file.ts'
import { followVideo } from './follow-video.ts'
import { laterText, outcomeExit, reportOutcome } from './outcome.ts'
import { createProgressDisplay } from './progress-display.ts'
import { costText, secondsText, usageText } from './progress-text.ts'
import { savedText } from './save-video.ts'
import type { Terminal } from './terminal.ts'
import { isDone, type Video, type VideoRequest } from './video.ts'
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
/** After a Ctrl-C: how long to find out whether the video was created, so that it can be cancelled. */
const CREATED_MS_MAX = 3_000

/**
 * Makes one video and downloads it. Returns the exit code: 0, 1 when the video failed, 3 when somebody else
 * cancelled it, 130 after Ctrl-C. Throws ApiError, and UsageError before anything is submitted when the file
 * could not be written.
 */
export async function generate(options: GenerateOptions): Promise<number> {
  const { abandon, output, terminal } = options
  if (output !== null) await requireWritable({ option: '--output', path: output })
  const say = options.isJson ? terminal.notice : (line: string) => terminal.write(`${line}\n`)
  say(
    `making a video at ${options.connection.baseUrl}; Ctrl-C cancels it, and the steps done by then are charged`,
  )
  const created = await createVideo(options)
  if (created === null) return INTERRUPTED_EXIT
  const { id, model, size, seconds } = created.video
  if (!options.isJson) terminal.write(`${id}  ${model}, ${size}, ${secondsText(seconds)}\n`)
  try {
    const video = await followOrCancel(created, options)
    if (video.status === 'completed') return await saveVideo(video, options)
    if (options.isJson) terminal.write(`${JSON.stringify(video)}\n`)
    else reportOutcome(video, terminal)
    return options.stop.aborted ? INTERRUPTED_EXIT : outcomeExit(video)
  } catch (error) {
    if (abandon.aborted) {
      terminal.notice(`left; see what became of it: ${laterText(id, output)}`)
      return INTERRUPTED_EXIT
    }
    if (error instanceof ApiError)
      terminal.notice(`the video may go on; see it with: ${laterText(id, output)}`)
    throw error
  }
}

/**
 * Submits the video. Null when that was interrupted; the first Ctrl-C leaves some time to learn the id of a
 * video that the API may have created, so that it is cancelled and not forgotten.
 */
async function createVideo(options: GenerateOptions) {
  const { abandon, connection, stop, terminal, timings } = options
  const leave = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const onStop = () => {
    const seconds = CREATED_MS_MAX / 1_000
    terminal.notice(
      `finding out for ${seconds} s whether the video was created (Ctrl-C again to leave at once)`,
    )
    timer = setTimeout(() => leave.abort(), CREATED_MS_MAX)
  }
  stop.addEventListener('abort', onStop, { once: true })
  const client = new VideoClient(connection, {
    signal: AbortSignal.any([abandon, leave.signal]),
    notice: terminal.notice,
    timings,
  })
  try {
    return await client.create(options.request, randomUUID(), stop)
  } catch (error) {
    if (!stop.aborted) throw error
    const isNeverSent = error instanceof ApiError && error.isNeverSent
    terminal.notice(
      isNeverSent
        ? 'no video was created'
        : 'it is not known whether the video was created: GET /v1/videos lists what there is',
    )
    return null
  } finally {
    stop.removeEventListener('abort', onStop)
    clearTimeout(timer)
  }
}

/** Shows the video's progress until it is done; cancels it when `stop` is aborted. */
async function followOrCancel(created: Awaited<ReturnType<VideoClient['create']>>, options: GenerateOptions) {
  const { abandon, connection, isJson, stop, terminal, timings } = options
  const display = createProgressDisplay(isJson ? { ...terminal, write: () => {}, isTTY: false } : terminal)
  const notice = (line: string) => {
    display.end()
    terminal.notice(line)
  }
  const signal = AbortSignal.any([stop, abandon])
  try {
    return await followVideo(new VideoClient(connection, { signal, notice, timings }), created, display, stop)
  } catch (error) {
    display.end()
    if (!stop.aborted) throw error
    const client = new VideoClient(connection, { signal: abandon, notice, timings })
    return await cancelVideo(client, created.video.id, options)
  }
}

/** Cancels the video and waits until it is settled. */
async function cancelVideo(client: VideoClient, id: string, options: GenerateOptions): Promise<Video> {
  options.terminal.notice('cancelling (Ctrl-C again to leave at once)')
  let { video, pollAfterMs } = await client.cancel(id).catch(() => client.retrieve(id))
  const giveUpAt = performance.now() + SETTLE_MS_MAX
  while ((video.cost?.state === 'held' || !isDone(video)) && performance.now() < giveUpAt) {
    await pause(pollAfterMs, options.abandon)
    options.abandon.throwIfAborted()
    ;({ video, pollAfterMs } = await client.retrieve(id))
  }
  return video
}

/** Downloads a completed video and says so. After a Ctrl-C it only says how to. */
async function saveVideo(video: Video, options: GenerateOptions): Promise<number> {
  const { abandon, connection, stop, terminal, timings } = options
  const path = resolve(options.output ?? `${video.id}.mp4`)
  const signal = AbortSignal.any([stop, abandon])
  const client = new VideoClient(connection, { signal, notice: terminal.notice, timings })
  try {
    signal.throwIfAborted()
    const file = { path, bytes: await client.download(video.id, path) }
    if (options.isJson) terminal.write(`${JSON.stringify({ ...video, file })}\n`)
    else {
      terminal.write(`${savedText(video, options.output ?? path, file.bytes)}\n`)
      terminal.write(`${usageText(video)}, ${costText(video)}\n`)
    }
    return 0
  } catch (error) {
    terminal.notice(
      `the video is completed and was charged (${costText(video)}); fetch it with: ${laterText(video.id, options.output)}`,
    )
    if (signal.aborted) return INTERRUPTED_EXIT
    throw error
  }
}
