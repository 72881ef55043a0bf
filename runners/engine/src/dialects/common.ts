import { RunnerFailure } from '@sluice/runner/runner-failure'
import { z } from 'zod'
import type { EngineAnswer, EngineRequest } from '../engine-http.ts'
import type { EngineJob, JobFailure, WantedVideo } from './dialect.ts'

/** What all dialects share of a job. What an engine adds is passed over; what it leaves out is null. */
const jobSchema = z.looseObject({
  id: z.string().min(1).max(200),
  status: z.string(),
  progress: z.number().nullish().catch(null),
  size: z.string().nullish().catch(null),
  error: z.unknown(),
})
type AnsweredJob = z.infer<typeof jobSchema>

/**
 * The job in an answer, whatever its HTTP status: vLLM-Omni shows a failed one with the status of its error.
 * `stepsOf`: the steps that it has done. `failed`: what its dialect says of one that failed.
 */
export function jobIn(
  { body }: EngineAnswer,
  stepsOf: (job: AnsweredJob) => number | null,
  failed: { words?: readonly string[]; failureOf?: (error: unknown) => JobFailure } = {},
): EngineJob | undefined {
  const job = jobSchema.safeParse(body).data
  if (job === undefined) return undefined
  const { words = ['failed'], failureOf: readFailure = failureOf } = failed
  return {
    id: job.id,
    state: stateOf(job.status, words),
    steps: stepsOf(job),
    size: job.size ?? null,
    failure: job.status === 'failed' ? readFailure(job.error) : null,
  }
}

/** Any other word means that it is at work. */
function stateOf(status: string, failed: readonly string[]): EngineJob['state'] {
  if (status === 'queued' || status === 'completed') return status
  return failed.includes(status) ? 'failed' : 'running'
}

/** Steps of a progress in percent; a job that is not over has not done its last one. */
export function stepsOfPercent(percent: number | null | undefined, steps: number): number | null {
  if (percent === null || percent === undefined || !Number.isFinite(percent)) return null
  return Math.min(Math.max(Math.floor((percent / 100) * steps), 0), Math.max(steps - 1, 0))
}

/** What an engine says of a failed job: a text, or an object with a code and a message. */
export function failureOf(error: unknown): JobFailure {
  const at = (name: string): unknown =>
    typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined
  const code = at('code')
  const words = [typeof error === 'string' ? error : undefined, at('message')].find(
    (candidate) => typeof candidate === 'string' && candidate !== '',
  )
  const message = `the engine failed: ${words ?? 'it does not say why'}`
  if (/out of memory|OutOfMemory|OOM\b/.test(message))
    return { code: 'out_of_memory', message, retryable: true }
  const isInput = code === 'bad_input' || code === 400 || code === 422 || code === '400' || code === '422'
  return isInput
    ? { code: 'bad_input', message, retryable: false }
    : { code: 'internal', message, retryable: true }
}

/** `336x192`. */
export function sizeOf({ generation: { width, height } }: WantedVideo): string {
  return `${width}x${height}`
}

/** An image that can stand only at the start. Throws RunnerFailure `bad_input` for another place. */
export function headImage({ image }: WantedVideo, engine: string): File | null {
  if (image === null) return null
  if (image.condition === 'head') return image.file
  throw new RunnerFailure(
    'bad_input',
    `i2v_condition is ${image.condition}; allowed is head: ${engine} takes an image as the first frame only`,
  )
}

/** A multipart form of the fields that have a value. */
export function formOf(
  fields: Record<string, string | number | boolean | File | null | undefined>,
): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined || value === '') continue
    if (value instanceof File) form.set(name, value, value.name)
    else form.set(name, String(value))
  }
  return form
}

/** The object without what has no value. */
export function withoutNothing(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  )
}

export function deleteJob(id: string): EngineRequest {
  return { method: 'DELETE', path: jobPath(id) }
}

export function jobPath(id: string): string {
  return `/v1/videos/${encodeURIComponent(id)}`
}

/** What SGLang, vLLM-Omni and TensorRT-LLM call the same. */
export function clipFields(wanted: WantedVideo) {
  const { generation, engineModel } = wanted
  return {
    model: engineModel,
    prompt: generation.prompt,
    negative_prompt: generation.negative_prompt,
    size: sizeOf(wanted),
    num_frames: generation.num_frames,
    fps: generation.fps,
    num_inference_steps: generation.num_steps,
    guidance_scale: generation.guidance,
    seed: generation.seed,
  }
}
