import type { Response } from 'express'
import { z } from 'zod'
import type { Sighting } from '../../forecast/video-watch.ts'
import { EventStream, type StreamEvent } from '../../http/event-stream.ts'
import { RawReply } from '../../http/reply.ts'
import { accountRoute } from '../../http/route.ts'
import type { Services } from '../../services.ts'
import { readVideo } from '../../videos/video-store.ts'
import { PUBLIC_STATUS, videoJson } from './video-json.ts'
import { videoIdParams } from './video-reply.ts'

export const videoEventsRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/videos/{id}/events',
    operationId: 'videoEvents',
    tag: 'videos',
    summary: 'A video as it changes, as server-sent events',
    description:
      'Events `video.queued`, `video.in_progress`, `video.progress` (steps, position), `video.completed` and `video.failed`; their data is the video object. The first is sent at once, the last closes the stream. An event is the state of its moment: what passed in between is not sent. With `Last-Event-ID` only what changed since is sent; after the last event, nothing (204).',
    params: videoIdParams,
    isLong: true,
    headers: z.object({
      'Last-Event-ID': z
        .string()
        .optional()
        .meta({ description: 'The id of the last event that was seen.', example: 'in_progress.1.12..eta' }),
    }),
    answers: {
      200: { description: 'The stream.', contentTypes: ['text/event-stream'] },
      204: {
        description: 'Last-Event-ID is the last event: there is nothing more, and no need to come back.',
      },
    },
    errors: ['not_found', 'unavailable'],
  },
  async ({ context, key, params, request }) => {
    const video = await readVideo(context.db, key.accountId, params.id)
    context.repeats.noteKnown(video)
    const first: Sighting = { video, forecast: await context.forecaster.of(video) }
    const lastEventId = request.get('last-event-id') ?? ''
    if (video.ended_at !== null && !isNews(first, lastEventId)) {
      return new RawReply((response) => {
        response.status(204).end()
      })
    }
    if (request.method === 'HEAD') {
      return new RawReply((response) => {
        response.status(200).type('text/event-stream').end()
      })
    }
    return new RawReply((response) => streamEvents(context, response, { keyId: key.id, first, lastEventId }))
  },
)

/**
 * Sends the video as it is, then as it changes. Throws SluiceError before the stream begins: there are too
 * many already.
 */
function streamEvents(
  context: Services,
  response: Response,
  { keyId, first, lastEventId }: { keyId: string; first: Sighting; lastEventId: string },
): void {
  let sentId = lastEventId
  let sighting = first
  const next = (): StreamEvent | null => {
    if (!isNews(sighting, sentId)) return null
    const event = eventOf(sighting, sentId)
    sentId = event.id
    return event
  }
  // Before the stream begins: its headers could not carry a refusal any more.
  const remove = context.videoWatch.add(first.video, {
    keyId,
    see: (seen) => {
      sighting = seen
      stream.offer(next)
    },
    close: () => stream.end(),
  })
  const stream = new EventStream(response, context.config.timings.keepAliveEveryMs)
  response.once('close', remove)
  stream.offer(next)
}

/**
 * The parts of an event's id, the same in every process: status, fence, step, position, and whether the time
 * left is known.
 */
function partsOf({ video, forecast }: Sighting): string[] {
  const position = forecast?.position ?? null
  return [
    PUBLIC_STATUS[video.status],
    `${video.fence}`,
    `${video.step}`,
    `${position ?? ''}`,
    forecast?.etaSeconds == null ? '' : 'eta',
  ]
}

/** Whether it differs from the event sent last; an estimate that merely shrinks, or is missing, does not. */
function isNews(sighting: Sighting, sentId: string): boolean {
  const sent = sentId.split('.')
  return partsOf(sighting).some((part, index) => part !== sent[index] && (part !== '' || index < 3))
}

function eventOf(sighting: Sighting, sentId: string): StreamEvent {
  const { video, forecast } = sighting
  const status = PUBLIC_STATUS[video.status]
  return {
    id: partsOf(sighting).join('.'),
    name: sentId.split('.')[0] === status ? 'video.progress' : `video.${status}`,
    data: JSON.stringify(videoJson(video, forecast)),
    isLast: video.ended_at !== null,
  }
}
