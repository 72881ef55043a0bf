import { eventually } from './eventually.ts'
import type { Service } from './start-service.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API answered, and fail on what is missing
type Body = any

/** Submits a video and returns its id. */
export async function submit(service: Service, fields: Record<string, unknown>): Promise<string> {
  const answer = await service.call('POST', '/v1/videos', fields)
  if (answer.status !== 200) throw new Error(`submit: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body.id
}

/** The video once `satisfies` holds for it. While the API is restarted, it is asked again. */
export function videoWhen(
  service: Service,
  id: string,
  satisfies: (video: Body) => boolean,
  withinMs = 60_000,
): Promise<Body> {
  return eventually(
    () =>
      service.call('GET', `/v1/videos/${id}`).then(
        (answer) => answer.body,
        () => ({}),
      ),
    satisfies,
    withinMs,
  )
}

export const isEnded = (video: Body): boolean => video.status === 'completed' || video.status === 'failed'

/** What the operator sees of a video. */
export async function adminView(service: Service, id: string): Promise<Body> {
  return (await service.call('GET', `/v1/admin/videos/${id}`, undefined, service.adminKey)).body
}

export async function ledgerCheck(service: Service): Promise<Body> {
  return (await service.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, service.adminKey))
    .body
}

/** The bytes of one variant. */
export async function contentOf(service: Service, id: string, variant = 'video'): Promise<Buffer> {
  const response = await fetch(`${service.origin}/v1/videos/${id}/content?variant=${variant}`, {
    headers: { authorization: `Bearer ${service.key}` },
  })
  if (!response.ok) throw new Error(`content: ${response.status} ${await response.text()}`)
  return Buffer.from(await response.arrayBuffer())
}
