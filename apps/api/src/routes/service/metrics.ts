import { RawReply } from '../../http/reply.ts'
import { scopedRoute } from '../../http/route.ts'

export const readMetricsRoute = scopedRoute(
  'metrics:read',
  {
    method: 'get',
    path: '/metrics',
    operationId: 'readMetrics',
    tag: 'service',
    summary: 'Figures for Prometheus',
    description:
      'Process figures are of the process that answers; all others are of the whole installation, read at most once a second. No prompts, keys or ids in them.',
    answers: { 200: { description: 'Prometheus text, version 0.0.4.', contentTypes: ['text/plain'] } },
    errors: [],
  },
  async ({ context }) => {
    const text = await context.metrics.text()
    return new RawReply((response) => {
      response.set('content-type', context.metrics.contentType).send(text)
    })
  },
)
