import type { AttemptResult, OwnedAttempt } from '@sluice/shared/attempt-contract'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerReply } from '@sluice/shared/runner-protocol'
import { reasonOf } from '../error-message.ts'
import type { AttemptFiles } from './attempt-files.ts'
import { BadOutputError, checkVideo } from './check-video.ts'
import type { Failure } from './failure.ts'

export type FinishedReply = Extract<RunnerReply, { type: 'finished' }>

export interface FinishedVideo {
  attempt: OwnedAttempt
  request: Generation
  /** Steps that came from a checkpoint. */
  startStep: number
  reply: FinishedReply
  /** Whether clips of its model have a sound. */
  hasSound: boolean
}

/** A store that is away is waited for this long, with the finished video in hand. */
const UPLOAD_MS_MAX = 900_000

/**
 * Checks the video and puts everything, `result.json` last, so that the API can recognise in the store an
 * attempt that finished. Returns why not when the video is not what was asked for or an upload failed.
 */
export async function storeVideo(
  files: AttemptFiles,
  video: FinishedVideo,
): Promise<{ result: AttemptResult } | { failure: Failure }> {
  try {
    return { result: await checkAndUpload(files, video) }
  } catch (error) {
    const code = error instanceof BadOutputError ? 'bad_output' : 'upload_failed'
    return { failure: { code, message: reasonOf(error), retryable: true } }
  }
}

async function checkAndUpload(files: AttemptFiles, video: FinishedVideo): Promise<AttemptResult> {
  const { attempt, request, reply, startStep, hasSound } = video
  await checkVideo(reply.files.video, request, { sound: hasSound || reply.sound === true })
  const put = async (name: 'video' | 'thumbnail' | 'spritesheet') => ({
    bytes: await files.upload(name, reply.files[name], UPLOAD_MS_MAX),
  })
  const result: AttemptResult = {
    ...attempt,
    steps_run: request.num_steps - startStep,
    steps: request.num_steps,
    files: {
      video: await put('video'),
      thumbnail: await put('thumbnail'),
      spritesheet: await put('spritesheet'),
    },
    timings: reply.timings,
    ...(reply.uses === undefined ? {} : { uses: reply.uses }),
    peak_vram_bytes: reply.peak_vram_bytes,
    seed: reply.seed,
  }
  await files.upload('result', { json: JSON.stringify(result) }, UPLOAD_MS_MAX)
  return result
}
