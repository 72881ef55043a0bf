import { type PublicVideo, videoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import type { Forecast } from '../../forecast/forecast.ts'
import { JsonReply } from '../../http/reply.ts'
import type { Services } from '../../services.ts'
import type { Video } from '../../videos/video.ts'
import { videoJson } from './video-json.ts'

export const videoIdParams = z.object({
  id: z.string().meta({ description: 'The video.', example: 'video_01m84f0j8df20bh2fw7sqrp04k' }),
})

export const videoAnswers = {
  200: {
    description: 'The video.',
    schema: videoSchema,
    headers: {
      'openai-poll-after-ms': { description: 'While it is unfinished: when to ask again.', type: 'integer' },
    },
  },
} as const

const POLL_MS_MIN = 250
const POLL_MS_MAX = 5_000
/** Polls per video that feel live. */
const POLLS_PER_VIDEO = 20

type VideoReply = PublicVideo | JsonReply<PublicVideo>

/** A video with its forecast while it is queued or running, and the pace at which clients should poll it. */
export async function videoReply({ forecaster }: Services, video: Video): Promise<VideoReply> {
  return replyOf(video, await forecaster.of(video))
}

/** The same in answer to its submission: what it forecasts is compared with what comes. */
export async function firstReply({ forecaster }: Services, video: Video): Promise<VideoReply> {
  return replyOf(video, await forecaster.ofFirst(video))
}

function replyOf(video: Video, forecast: Forecast | null): VideoReply {
  const body = videoJson(video, forecast)
  if (video.ended_at !== null) return body
  const etaMs = (forecast?.etaSeconds?.p50 ?? 20) * 1_000
  const pollMs = Math.round(Math.min(Math.max(etaMs / POLLS_PER_VIDEO, POLL_MS_MIN), POLL_MS_MAX))
  return new JsonReply(body, { headers: { 'openai-poll-after-ms': String(pollMs) } })
}
