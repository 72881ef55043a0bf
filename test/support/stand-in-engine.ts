import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { eventually } from './eventually.ts'

/** A stand-in speaks one of these: what a server of its kind would say, as its own source has it. */
export type StandInDialect = 'vllm-omni' | 'sglang' | 'tensorrt-llm' | 'openai'

/** A job of it, which a test moves on. */
export interface StandInJob {
  id: string
  status: string
  progress: number
  size: string
  error: unknown
  content: Buffer | null
  fields: Record<string, unknown>
}

/** What a request that got this far asked for. */
interface Call {
  method: string
  path: string
  authorization: string | undefined
}

const number = z.coerce.number()
const whole = z.coerce.number().pipe(z.int())
const size = z.string().regex(/^\d+x\d+$/)
const file = z.instanceof(File)

/**
 * The fields of POST /v1/videos that each server takes, of those that the runner sends, by name and type as
 * its source has them (versions in runners/engine/src/dialects). A field that is not listed is refused, as
 * TensorRT-LLM does and as a misspelt one would be passed over by the others.
 */
const FIELDS = {
  // vllm_omni/entrypoints/openai/video/generation/helpers.py: _parse_video_form
  'vllm-omni': z.strictObject({
    prompt: z.string(),
    model: z.string(),
    size,
    num_frames: whole.pipe(z.int().min(1)),
    fps: number.pipe(z.number().min(1)),
    num_inference_steps: whole.pipe(z.int().min(1).max(200)),
    guidance_scale: number.pipe(z.number().min(0).max(20)).optional(),
    seed: whole,
    negative_prompt: z.string().optional(),
    generate_sound: z.literal('true').optional(),
    input_reference: file.optional(),
  }),
  // sglang/multimodal_gen/runtime/entrypoints/openai/video_api.py: create_video
  sglang: z.strictObject({
    prompt: z.string(),
    model: z.string(),
    size,
    num_frames: whole,
    fps: whole,
    num_inference_steps: whole,
    guidance_scale: number.optional(),
    seed: whole,
    negative_prompt: z.string().optional(),
    input_reference: file.optional(),
  }),
  // tensorrt_llm/serve/openai_protocol.py: VideoGenerationRequest, extra="forbid"
  'tensorrt-llm': z.strictObject({
    prompt: z.string(),
    model: z.string(),
    size,
    num_frames: z.int().positive().max(7_200),
    fps: z.number().positive().max(120),
    num_inference_steps: z.int().positive(),
    guidance_scale: z.number().positive().optional(),
    seed: z.int().nonnegative(),
    negative_prompt: z.string().optional(),
    format: z.literal('mp4'),
    input_reference: z.base64().optional(),
  }),
  // openai 7.57.0, resources/videos.ts: VideoCreateParams
  openai: z.strictObject({
    prompt: z.string(),
    model: z.string(),
    size,
    seconds: z.string().regex(/^\d+$/),
    input_reference: file.optional(),
  }),
} as const

const OWNERS = {
  'vllm-omni': 'vllm',
  sglang: 'sglang',
  'tensorrt-llm': 'tensorrt_llm',
  openai: 'system',
} as const
const AT_WORK = {
  'vllm-omni': 'in_progress',
  sglang: 'in_progress',
  'tensorrt-llm': 'generating',
  openai: 'in_progress',
}

/**
 * A server of our own in place of an engine that needs a GPU. It judges each field by the engine's own rules,
 * and its jobs go on when the test says so.
 */
export class StandInEngine implements AsyncDisposable {
  readonly dialect: StandInDialect
  readonly jobs = new Map<string, StandInJob>()
  readonly calls: Call[] = []
  models = ['wan']
  /** Answers this in place of what it would, when it is not null. */
  refusal: ((call: Call) => { status: number; body: unknown } | null) | null = null
  /** A job that is made is of this size, whatever was asked for. */
  sizeMade: string | null = null
  /** Where its files are, when it does not send them itself. */
  redirectsTo: string | null = null
  url = ''
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  })
  #count = 0

  constructor(dialect: StandInDialect) {
    this.dialect = dialect
  }

  async start(port = 0): Promise<this> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  /** Nobody answers at its address until it is started again there. Its jobs stay. */
  async goAway(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async comeBack(): Promise<void> {
    await this.start(Number(new URL(this.url).port))
  }

  /** The job made last, once there are that many in all. */
  async job(count: number): Promise<StandInJob> {
    const jobs = await eventually(
      async () => [...this.jobs.values()],
      () => this.#count >= count,
    )
    const job = jobs.at(-1)
    if (job === undefined) throw new Error('the job is gone')
    return job
  }

  begin(job: StandInJob, progress = 0): void {
    job.status = AT_WORK[this.dialect]
    job.progress = progress
  }

  complete(job: StandInJob, content: Buffer): void {
    Object.assign(job, { status: 'completed', progress: 100, content })
  }

  fail(job: StandInJob, error: unknown): void {
    Object.assign(job, { status: 'failed', error })
  }

  get made(): number {
    return this.#count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.goAway()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    const call = { method, path: url, authorization: headers.authorization }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    this.calls.push(call)
    const refusal = this.refusal?.(call)
    if (refusal) return say(response, refusal.status, refusal.body)
    const [, id = '', isContent] = /^\/v1\/videos\/([^/]+)(\/content)?$/.exec(url) ?? []
    if (url === '/v1/models') return say(response, 200, this.#modelList())
    if (url === '/v1/videos' && method === 'POST')
      return this.#create(response, Buffer.concat(chunks), headers['content-type'] ?? '')
    const job = this.jobs.get(id)
    if (job === undefined) return say(response, 404, this.#notFound(id))
    if (method === 'DELETE') {
      this.jobs.delete(id)
      return say(response, 200, { id, deleted: true, object: 'video.deleted' })
    }
    if (isContent === undefined) return this.#show(response, job)
    if (job.content === null) return say(response, 404, { detail: 'Generation is still in-progress' })
    if (this.redirectsTo !== null) response.writeHead(302, { location: this.redirectsTo }).end()
    else response.writeHead(200, { 'content-type': 'video/mp4' }).end(job.content)
  }

  #modelList(): unknown {
    const data = this.models.map((id) => ({
      id,
      object: 'model',
      created: 1,
      owned_by: OWNERS[this.dialect],
    }))
    return { object: 'list', data }
  }

  async #create(response: ServerResponse, body: Buffer, contentType: string): Promise<void> {
    const isForm = contentType.startsWith('multipart/form-data')
    // TensorRT-LLM is sent JSON; vLLM-Omni takes a form only.
    if (isForm === (this.dialect === 'tensorrt-llm')) return say(response, 415, { detail: contentType })
    const given = isForm
      ? Object.fromEntries(await new Response(body, { headers: { 'content-type': contentType } }).formData())
      : JSON.parse(body.toString('utf8'))
    const fields = FIELDS[this.dialect].safeParse(given)
    if (!fields.success) return say(response, 422, this.#unprocessable(fields.error))
    this.#count += 1
    const job: StandInJob = {
      id: `video_${this.#count}`,
      status: 'queued',
      progress: 0,
      size: this.sizeMade ?? fields.data.size,
      error: null,
      content: null,
      fields: fields.data,
    }
    this.jobs.set(job.id, job)
    say(response, this.dialect === 'tensorrt-llm' ? 202 : 200, shown(job))
  }

  /** vLLM-Omni shows a failed job with the status of its error. */
  #show(response: ServerResponse, job: StandInJob): void {
    const code = z.looseObject({ code: z.int().min(400) }).safeParse(job.error).data?.code
    say(response, this.dialect === 'vllm-omni' && job.status === 'failed' ? (code ?? 500) : 200, shown(job))
  }

  #notFound(id: string): unknown {
    const message = `Video ${id} not found`
    return this.dialect === 'tensorrt-llm'
      ? { object: 'error', message, type: 'NotFoundError', param: null, code: 404 }
      : { detail: 'Video not found' }
  }

  #unprocessable({ issues }: z.ZodError): unknown {
    const detail = issues.map(({ path, message }) => ({ loc: ['body', ...path.map(String)], msg: message }))
    return this.dialect === 'tensorrt-llm'
      ? { object: 'error', message: JSON.stringify(detail), type: 'BadRequestError', param: null, code: 422 }
      : { detail }
  }
}

function shown({ id, status, progress, size, error }: StandInJob): unknown {
  return { id, object: 'video', created_at: 1, model: 'wan', status, progress, size, error }
}

function say(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
