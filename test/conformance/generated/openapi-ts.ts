// Used with what @hey-api/openapi-ts makes of /openapi.json: type-checked against it, then run.
import { writeFileSync } from 'node:fs'
import { client } from './hey/client.gen.ts'
import { createVideo, listVideos, retrieveVideo, videoContent, videoEvents } from './hey/sdk.gen.ts'

const { BASE_URL = '', KEY = '', STEP = '', VIDEO = '' } = process.env
client.setConfig({ baseUrl: BASE_URL, auth: KEY })

async function submit(): Promise<void> {
  const made = await createVideo({ body: { prompt: 'a paper boat', num_frames: 5, service_tier: 'flex' } })
  if (made.data === undefined) throw new Error(made.error.error.message)
  const page = await listVideos({ query: { limit: 1 } })
  const one = await retrieveVideo({ path: { id: made.data.id } })
  const none = await retrieveVideo({ path: { id: 'nothing' } })
  const tier: 'priority' | 'standard' | 'flex' | undefined = one.data?.service_tier
  say({
    made: made.data.id,
    listed: page.data?.data.map((video) => video.id),
    hasMore: page.data?.has_more,
    tier,
    refused: none.error?.error.param,
  })
}

async function download(): Promise<void> {
  const whole = await videoContent({ path: { id: VIDEO }, parseAs: 'blob' })
  const { stream } = await videoEvents({ path: { id: VIDEO } })
  const events: unknown[] = []
  for await (const event of stream) events.push((event as unknown as { status: string }).status)
  say({ bytes: await (whole.data as Blob | undefined)?.text(), events })
}

function say(what: unknown): void {
  writeFileSync(1, JSON.stringify(what))
}

await (STEP === 'download' ? download() : submit())
