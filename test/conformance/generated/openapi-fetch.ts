// Used with what openapi-typescript makes of /openapi.json: type-checked against it, then run.
import { readFileSync, writeFileSync } from 'node:fs'
import createClient from 'openapi-fetch'
import type { paths } from './schema.d.ts'

const { BASE_URL = '', KEY = '', STEP = '', VIDEO = '' } = process.env
const client = createClient<paths>({ baseUrl: BASE_URL, headers: { authorization: `Bearer ${KEY}` } })

/** Submits as JSON and as a form with a file, lists, reads, and reads an error. */
async function submit(): Promise<void> {
  const made = await client.POST('/v1/videos', {
    params: { header: { 'Idempotency-Key': 'openapi-fetch' } },
    body: { prompt: 'a paper boat', num_frames: 5, metadata: { shot: '12' } },
  })
  if (made.data === undefined) throw new Error(made.error.error.message)
  const image = new File([readFileSync(new URL('./image.png', import.meta.url))], 'image.png')
  const withImage = await client.POST('/v1/videos', {
    // The types call a file of a form text.
    body: { prompt: 'a kite', num_frames: 5, input_reference: image as unknown as string },
    bodySerializer: (body) => {
      const form = new FormData()
      for (const [name, value] of Object.entries(body)) {
        form.append(name, value instanceof File ? value : String(value))
      }
      return form
    },
  })
  if (withImage.data === undefined) throw new Error(withImage.error.error.message)
  const page = await client.GET('/v1/videos', { params: { query: { limit: 2, order: 'asc' } } })
  const one = await client.GET('/v1/videos/{id}', { params: { path: { id: made.data.id } } })
  const none = await client.GET('/v1/videos/{id}', { params: { path: { id: 'nothing' } } })
  const frames: number | undefined = one.data?.num_frames
  const listed: string[] | undefined = page.data?.data.map((video) => video.id)
  say({
    made: made.data.id,
    withImage: [withImage.data.id, withImage.data.mode],
    listed,
    frames,
    pollMs: one.response.headers.get('openai-poll-after-ms'),
    refused: none.error?.error.code,
  })
}

/** Downloads the whole file and a part of it. */
async function download(): Promise<void> {
  const params = { path: { id: VIDEO }, query: { variant: 'video' as const } }
  const whole = await client.GET('/v1/videos/{id}/content', { params, parseAs: 'blob' })
  const part = await client.GET('/v1/videos/{id}/content', {
    params: { ...params, header: { Range: 'bytes=0-2' } },
    parseAs: 'text',
  })
  say({
    bytes: await (whole.data as Blob | undefined)?.text(),
    part: part.data,
    status: part.response.status,
  })
}

function say(what: unknown): void {
  writeFileSync(1, JSON.stringify(what))
}

await (STEP === 'download' ? download() : submit())
