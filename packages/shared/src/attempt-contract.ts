import { z } from 'zod'
import { generationSchema } from './generation.ts'
import { MODES } from './model-catalogue.ts'
import { RUNNER_ERROR_CODES } from './runner-protocol.ts'

/**
 * What api and worker say to each other about attempts, over BullMQ (the job) and HTTP (reports and heartbeats).
 *
 * POST /internal/attempts/{video}/{fence}   body = report, answer = reportAnswer
 * POST /internal/heartbeat                  body = heartbeat, answer = heartbeatAnswer
 * Both with `Authorization: Bearer <worker token>`.
 *
 * An attempt is one start of one video: (video, fence) comes from the gate, `claim` is drawn by the worker. The first report that
 * arrives binds the claim; from then on another claim or an older fence is a zombie and is answered `stop`.
 * A worker takes a job off the queue, reports `taken`, and acknowledges the job to BullMQ as soon as that is answered:
 * BullMQ delivers, the heartbeats keep the attempt alive, so no lock has to be renewed for the length of a video.
 */

/** How often a worker names what it holds. */
export const HEARTBEAT_MS = 5_000
/** An attempt no heartbeat has named for this long is given up: four heartbeats may be lost. */
export const LEASE_MS = 20_000
/** A running attempt reports at least this often, so a cancel is heard within it. */
export const REPORT_MS_MAX = 1_000
/** A slot may be offered its next video when it will be free within this. */
export const NEARLY_FREE_MS = 2_000

/** `videos.<pool>` */
export function queueName(pool: string): string {
  return `videos.${pool}`
}

/** Job ids may not hold a colon; `<video>-<fence>` is unique for ever since fences only rise. */
export function jobId(video: string, fence: number): string {
  return `${video}-${fence}`
}

export const POOL_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/

export const attemptJobSchema = z.object({
  video: z.string(),
  fence: z.int().positive(),
  pool: z.string(),
  /** So that a worker of several models gives it to a slot that has this one loaded. */
  model: z.string().optional(),
})
/** The BullMQ job. Everything else (request, signed URLs, checkpoint) comes in the answer to `taken`, so it is never stale. */
export type AttemptJob = z.infer<typeof attemptJobSchema>

/** A file the worker put; bytes as uploaded. */
const storedFileSchema = z.object({ bytes: z.int().positive() })

export const attemptResultSchema = z.object({
  video: z.string(),
  fence: z.int().positive(),
  claim: z.string(),
  /** Steps this attempt ran itself, and steps the finished video has in all. */
  steps_run: z.int().nonnegative(),
  steps: z.int().positive(),
  files: z.object({ video: storedFileSchema, thumbnail: storedFileSchema, spritesheet: storedFileSchema }),
  timings: z.record(z.string(), z.number()),
  peak_vram_bytes: z.number().nonnegative(),
  seed: z.int().nonnegative(),
})
/** Written last beside the MP4 as `result.json`; a finished attempt whose worker died before `finished` was answered is settled from it. */
export type AttemptResult = z.infer<typeof attemptResultSchema>

const claimed = { claim: z.string().regex(/^[0-9a-f]{32}$/), worker: z.string() }

export const FAILURE_CODES = [
  ...RUNNER_ERROR_CODES,
  'stalled',
  'runner_exited',
  'bad_output',
  'upload_failed',
  'checkpoint_unusable',
  'input_unavailable',
] as const
export type FailureCode = (typeof FAILURE_CODES)[number]

export const reportSchema = z.discriminatedUnion('type', [
  /** Off the queue, waiting for the slot. Binds the claim; the answer carries the attempt's `assignment`. May be repeated. */
  z.object({ type: z.literal('taken'), ...claimed, slot: z.int().nonnegative() }),
  /** The runner works on it. */
  z.object({ type: z.literal('started'), ...claimed }),
  /** `step` only ever rises; `remaining_ms` is the worker's estimate until the device is free. Sent at least every REPORT_MS_MAX while it runs. */
  z.object({
    type: z.literal('progress'),
    ...claimed,
    phase: z.enum(['load', 'encode', 'denoise', 'decode', 'mux', 'upload']),
    step: z.int().nonnegative(),
    remaining_ms: z.int().nonnegative().nullable(),
  }),
  /** The checkpoint of `step` steps lies at the attempt's checkpoint URL. */
  z.object({
    type: z.literal('checkpoint'),
    ...claimed,
    step: z.int().positive(),
    bytes: z.int().positive(),
  }),
  /** The device is free; encoding and upload go on. */
  z.object({ type: z.literal('released'), ...claimed }),
  /** The files and `result.json` lie at their URLs. Repeated until answered. */
  z.object({ type: z.literal('finished'), ...claimed, result: attemptResultSchema }),
  /** `retryable` failures go back to the gate until `attempts_exhausted`; others end the video. `step` = steps this attempt ran itself. */
  z.object({
    type: z.literal('failed'),
    ...claimed,
    code: z.enum(FAILURE_CODES),
    message: z.string().max(2_000),
    retryable: z.boolean(),
    step: z.int().nonnegative(),
  }),
  /** `step` = steps done in all when it stopped. */
  z.object({ type: z.literal('cancelled'), ...claimed, step: z.int().nonnegative() }),
  /** Stopped at `step` for a yield or a shutdown, after the checkpoint (if any) was uploaded and reported. */
  z.object({ type: z.literal('yielded'), ...claimed, step: z.int().nonnegative() }),
])
export type Report = z.infer<typeof reportSchema>
/** What a report says, without who says it: the sender adds `claim` and `worker`. */
export type ReportBody<R extends Report = Report> = R extends Report ? Omit<R, 'claim' | 'worker'> : never

/** Reports that end an attempt: kept in the spool until they are answered, so they survive a crash of the worker. */
export const FINAL_REPORTS: readonly Report['type'][] = ['finished', 'failed', 'cancelled', 'yielded']

/** Signed URLs for this attempt's own prefix only. PUT needs no other header than Content-Type as given here. */
export const assignmentSchema = z.object({
  request: generationSchema,
  uploads: z.object({
    video: z.url(),
    thumbnail: z.url(),
    spritesheet: z.url(),
    checkpoint: z.url(),
    result: z.url(),
  }),
  resume: z.object({ step: z.int().positive(), url: z.url() }).nullable(),
  /** Mode i2v: the image as PNG, of exactly the video's size; its SHA-256 is `request.reference_sha256`. */
  inputs: z.object({ reference: z.url() }).optional(),
})
export type Assignment = z.infer<typeof assignmentSchema>

export const UPLOAD_CONTENT_TYPES = {
  video: 'video/mp4',
  thumbnail: 'image/webp',
  spritesheet: 'image/jpeg',
  checkpoint: 'application/octet-stream',
  result: 'application/json',
} as const satisfies Record<keyof Assignment['uploads'], string>
export type UploadName = keyof typeof UPLOAD_CONTENT_TYPES

/** continue: go on. cancel: stop and report `cancelled`. yield: checkpoint, stop, report `yielded`. stop: not yours (any more); stop, report nothing more. */
export const VERDICTS = ['continue', 'cancel', 'yield', 'stop'] as const
export type Verdict = (typeof VERDICTS)[number]

export const reportAnswerSchema = z.object({
  verdict: z.enum(VERDICTS),
  /** Only in the answer to `taken`, and only when the verdict is not `stop`. Fresh URLs each time it is asked. */
  assignment: assignmentSchema.optional(),
})
export type ReportAnswer = z.infer<typeof reportAnswerSchema>

const ownedAttemptSchema = z.object({ video: z.string(), fence: z.int().positive(), claim: z.string() })
export type OwnedAttempt = z.infer<typeof ownedAttemptSchema>

export const heartbeatSchema = z.object({
  /** Stable across restarts on the same data dir; two live processes never share it. */
  worker: z.string(),
  /** Drawn at each process start: a later boot of the same worker proves that the earlier one is gone. */
  boot: z.string(),
  pool: z.string().regex(POOL_PATTERN),
  /** Slots whose runner is ready. */
  slots: z.int().nonnegative(),
  device: z.string(),
  devices_per_slot: z.int().positive(),
  vram_bytes: z.number().nonnegative(),
  models: z.array(z.string()),
  /** What it can make with each of its models. */
  modes: z.array(z.enum(MODES)).default(['t2v', 'i2v']),
  limits: z.object({
    frames_max: z.int().positive(),
    pixels_max: z.int().positive(),
    /** Devices a sequence is split over: 512 + video tokens must be a multiple of it. */
    sequence_devices: z.int().positive().optional(),
  }),
  /** Micro-units of the currency per slot and hour, or null when the operator has not said. */
  cost_per_hour_micros: z
    .string()
    .regex(/^\d{1,18}$/)
    .nullable(),
  /** True once a shutdown began: it takes nothing new. */
  draining: z.boolean(),
  /** Everything it holds: taken, running, uploading, and finished but unanswered. */
  attempts: z.array(ownedAttemptSchema),
})
export type Heartbeat = z.input<typeof heartbeatSchema>

export const heartbeatAnswerSchema = z.object({
  attempts: z.array(
    z.object({ video: z.string(), fence: z.int().positive(), claim: z.string(), verdict: z.enum(VERDICTS) }),
  ),
})
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>
