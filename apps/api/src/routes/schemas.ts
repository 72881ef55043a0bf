import { videoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'

export const videoIdParams = z.object({
  id: z.string().meta({ description: 'The video.', example: 'video_01m84f0j8df20bh2fw7sqrp04k' }),
})

export const videoAnswer = {
  200: {
    description: 'The video.',
    schema: videoSchema,
    headers: { 'openai-poll-after-ms': 'While it is unfinished: when to ask again.' },
  },
} as const
