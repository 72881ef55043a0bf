import type { Response } from 'express'
import type { Services } from '../services.ts'
import type { Video } from '../videos/video.ts'
import { videoJson } from './video-json.ts'

const POLL_MS_MIN = 250
const POLL_MS_MAX = 5_000
/** Polls per video that feel live. */
const POLLS_PER_VIDEO = 20

/** Answers a video, with its forecast while it is queued or running and the pace clients should poll at. */
export async function renderVideo(context: Services, response: Response, video: Video): Promise<void> {
  const forecast = await context.forecaster.of(video)
  if (video.ended_at === null) {
    const etaMs = (forecast?.etaSeconds?.p50 ?? 20) * 1_000
    const pollMs = Math.round(Math.min(Math.max(etaMs / POLLS_PER_VIDEO, POLL_MS_MIN), POLL_MS_MAX))
    response.set('openai-poll-after-ms', String(pollMs))
  }
  response.json(videoJson(video, forecast))
}
