import { z } from 'zod'
import { generationSchema } from './generation.ts'
import { MODES } from './models/model.ts'
import {
  measuredBytes,
  measuredSeconds,
  outsideBytes,
  outsideCount,
  outsideName,
  outsideText,
  outsideWaitMs,
  saidUses,
} from './outside-values.ts'
import { RUNNER_ERROR_CODES } from './runner-protocol.ts'

/**
 * The messages between API and worker: the job over BullMQ, reports and heartbeats over HTTP.
 *
 * POST /internal/attempts/{video}/{fence}   body = report, answer = reportAnswer
 * POST /internal/reports                    body = reportGroup, answer = groupAnswer
 * POST /internal/heartbeat                  body = heartbeat, answer = heartbeatAnswer
 * All with `Authorization: Bearer <worker token>`.
 *
 * An attempt is one dispatch of one video. The gate gives it its name (video, fence); the worker makes a
 * random `claim`. The first report that arrives binds the claim. From then on a report under another claim or
 * an older fence is a zombie's, and is answered `stop`.
 * A worker takes a job off the queue, reports `taken`, and acknowledges the job to BullMQ as soon as that is
 * answered. So BullMQ only delivers; heartbeats keep the attempt alive, and no lock has to be renewed for as
 * long as a video takes.
 */

/** The code of the error that tells a worker to take another id. */
export const WORKER_ID_IN_USE = 'worker_id_in_use'

/** How often a worker sends a heartbeat. */
export const HEARTBEAT_MS = 5_000
/** An attempt that no heartbeat has named for this long is given up: four heartbeats may be lost. */
export const LEASE_MS = 20_000
/** A running attempt reports at least this often, so a cancel reaches it within this time. */
export const REPORT_MS_MAX = 1_000
/** The gate may dispatch the next video to a slot that is estimated to be free within this time. */
export const NEARLY_FREE_MS = 2_000

/**
 * The name of a queue at the server: `videos.<installation>.<queue>`. Without the installation it is the
 * queue of an API that does not name one.
 */
export function queueName(queue: string, installation: string | undefined): string {
  return installation === undefined ? `videos.${queue}` : `videos.${installation}.${queue}`
}

/** `<video>-<fence>`, unique for ever since fences only rise. BullMQ allows no colon in a job id. */
export function jobId(video: string, fence: number): string {
  return `${video}-${fence}`
}

export const POOL_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/
/** More earlier processes than any folder names. */
const PREDECESSORS_MAX = 64
/** A pool, or a pool and what its workers serve: see `queueOf`. */
const QUEUE_PATTERN = /^[a-z0-9][a-z0-9_.-]{0,95}$/

export const attemptJobSchema = z.object({
  video: z.string(),
  fence: z.int().positive(),
  pool: z.string(),
  /** The queue it is put into; left out, that of its pool. */
  queue: z.string().regex(QUEUE_PATTERN).optional(),
  /** Lets a worker of several models choose a slot that has this one loaded. */
  model: z.string().optional(),
  /**
   * What the free slot that it was chosen for has loaded: its own model, or the one that is switched from. A
   * worker without such a slot leaves the job to others for a moment. Left out, any slot is as good.
   */
  loaded: z.string().optional(),
})
/**
 * The BullMQ job. All else (request, signed URLs, checkpoint) comes in the answer to `taken`, so that it is
 * never stale.
 */
export type AttemptJob = z.infer<typeof attemptJobSchema>

/** More steps than any video has: 200 times the default. */
const STEPS_MAX = 10_000
/** An estimate beyond a week says no more than a week does. */
const REMAINING_MS_MAX = 604_800_000
/** What people read of a failure. */
const MESSAGE_CHARS_MAX = 2_000
/** Slots of one worker, devices of one slot: far more than a host has. */
const DEVICES_MAX = 1_024
/** Attempts that one worker owns: its slots, and what is uploaded beside them. */
const OWNED_MAX = 4_096
/** As many as a catalogue may have. */
const MODELS_MAX = 1_000
/** Below this, the cost of a worker of DEVICES_MAX slots fits a bigint. */
export const COST_PER_HOUR_MICROS_BELOW = 10n ** 15n
const COST_PATTERN = /^\d{1,15}$/

/** A slot that takes videos, and the model that its next one starts with at once. */
const loadedSlotSchema = z.object({ slot: outsideCount(0, DEVICES_MAX), model: outsideName() })
export type LoadedSlot = z.infer<typeof loadedSlotSchema>

const claimSchema = z.string().regex(/^[0-9a-f]{32}$/)
const fenceSchema = outsideCount(1)

/** A file that the worker uploaded, with its size. */
const storedFileSchema = z.object({ bytes: z.int().positive() })

/** What was measured on the way (`timings`, `peak_vram_bytes`) is mended: it never costs finished work. */
export const attemptResultSchema = z.object({
  video: outsideName(),
  fence: fenceSchema,
  claim: claimSchema,
  /** Steps that this attempt ran itself. */
  steps_run: outsideCount(0, STEPS_MAX),
  /** Steps that the finished video has in all. */
  steps: outsideCount(1, STEPS_MAX),
  files: z.object({ video: storedFileSchema, thumbnail: storedFileSchema, spritesheet: storedFileSchema }),
  /** Seconds by phase. */
  timings: measuredSeconds(),
  /** What its runner computed with: `{"attention": "sdpa-cudnn"}`. */
  uses: saidUses().optional(),
  peak_vram_bytes: measuredBytes(),
  seed: z.int().nonnegative(),
})
/**
 * Uploaded last, beside the MP4, as `result.json`. When a worker dies before its `finished` is answered, the
 * attempt is finished from this file.
 */
export type AttemptResult = z.infer<typeof attemptResultSchema>

const claimed = { claim: claimSchema, worker: outsideName() }

export const FAILURE_CODES = [
  ...RUNNER_ERROR_CODES,
  'stalled',
  'runner_exited',
  'upload_failed',
  'checkpoint_unusable',
  'input_unavailable',
  // A part of the host does not do its work, such as a full disk: no fault of the video.
  'host_failed',
] as const
export type FailureCode = (typeof FAILURE_CODES)[number]
/** Of these the runner may be the cause, and would be with any other video too. */
export const RUNNER_FAILURES: readonly FailureCode[] = [
  'out_of_memory',
  'device_lost',
  'model_missing',
  'internal',
  'stalled',
  'runner_exited',
  'bad_output',
]

export const reportSchema = z.discriminatedUnion('type', [
  /** The job waits for its slot. Binds the claim; the answer holds the `assignment`. May be repeated. */
  z.object({ type: z.literal('taken'), ...claimed, slot: outsideCount(0, DEVICES_MAX) }),
  /** The runner has started. */
  z.object({ type: z.literal('started'), ...claimed }),
  /**
   * Sent at least every REPORT_MS_MAX while the runner works. `step` never falls; `remaining_ms` is the
   * worker's estimate of the time until the device is free.
   */
  z.object({
    type: z.literal('progress'),
    ...claimed,
    phase: z.enum(['load', 'encode', 'denoise', 'decode', 'mux', 'upload']),
    step: outsideCount(0, STEPS_MAX),
    remaining_ms: outsideWaitMs(REMAINING_MS_MAX).nullable(),
  }),
  /** The checkpoint of `step` steps is at the attempt's checkpoint URL. */
  z.object({
    type: z.literal('checkpoint'),
    ...claimed,
    step: outsideCount(1, STEPS_MAX),
    bytes: z.int().positive(),
  }),
  /** The device is free; the files are still encoded, checked and uploaded. */
  z.object({ type: z.literal('released'), ...claimed }),
  /** The files and `result.json` are at their URLs. Repeated until answered. */
  z.object({ type: z.literal('finished'), ...claimed, result: attemptResultSchema }),
  /**
   * After a `retryable` failure the video is requeued, until `attempts_exhausted`; any other failure ends it.
   * `step` counts the steps that this attempt ran itself.
   */
  z.object({
    type: z.literal('failed'),
    ...claimed,
    code: z.enum(FAILURE_CODES),
    message: outsideText(MESSAGE_CHARS_MAX),
    retryable: z.boolean(),
    step: outsideCount(0, STEPS_MAX),
  }),
  /** `step` counts all steps of the video that were done when it stopped. */
  z.object({ type: z.literal('cancelled'), ...claimed, step: outsideCount(0, STEPS_MAX) }),
  /** Stopped at `step` for a yield or a shutdown, after its checkpoint, if any, was uploaded and reported. */
  z.object({ type: z.literal('yielded'), ...claimed, step: outsideCount(0, STEPS_MAX) }),
])
export type Report = z.infer<typeof reportSchema>
/** What a report says, without who says it: the sender adds `claim` and `worker`. */
export type ReportBody<R extends Report = Report> = R extends Report ? Omit<R, 'claim' | 'worker'> : never

/**
 * Signed URLs below this attempt's own prefix. A PUT needs Content-Type as in UPLOAD_CONTENT_TYPES, and no
 * other header.
 */
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
  /** Mode i2v: the input image as PNG, of the video's size. Its SHA-256 is `request.reference_sha256`. */
  inputs: z.object({ reference: z.url() }).optional(),
  /** For how long the URLs are good. They end with the attempt too; repeating `taken` brings fresh ones. */
  urls_expire_in_s: z.int().positive().optional(),
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

/**
 * continue: go on. cancel: stop and report `cancelled`. yield: write a checkpoint, stop, report `yielded`.
 * stop: the attempt is not, or no longer, this worker's: stop, and report nothing more.
 */
export const VERDICTS = ['continue', 'cancel', 'yield', 'stop'] as const
export type Verdict = (typeof VERDICTS)[number]

export const reportAnswerSchema = z.object({
  verdict: z.enum(VERDICTS),
  /** Only in the answer to `taken`, unless the verdict is `stop`. Each answer has fresh URLs. */
  assignment: assignmentSchema.optional(),
})
export type ReportAnswer = z.infer<typeof reportAnswerSchema>

/** Reports in one request: more than a worker has slots. */
export const GROUP_MAX = 1_024

/** A report in a group, with its attempt. */
export const groupedReportSchema = z.object({
  video: outsideName(),
  fence: fenceSchema,
  report: reportSchema,
})
export type GroupedReport = z.infer<typeof groupedReportSchema>

/**
 * What several attempts of a worker have to say, in one request. Each is answered as it would be alone, in
 * the same order: one that is refused says nothing about the others, so each is checked for itself. Those of
 * one video are applied in order. One that takes long holds up no answer: it is answered 503, and the sender
 * says it again; if it had begun, it is applied all the same. So `finished`, which asks the store, is better
 * sent alone. An API that is older than this call answers 404: then each report is sent alone.
 */
export const reportGroupSchema = z.object({ reports: z.array(z.unknown()).min(1).max(GROUP_MAX) })

const reportErrorSchema = z.object({
  /** The HTTP status that it would have had alone. */
  status: z.int().min(400).max(599),
  error: z.object({ code: z.string(), message: z.string(), type: z.string(), param: z.string().nullable() }),
})
export const groupAnswerSchema = z.object({
  answers: z.array(z.union([reportAnswerSchema, reportErrorSchema])),
})
export type GroupAnswer = z.infer<typeof groupAnswerSchema>

const ownedAttemptSchema = z.object({ video: outsideName(), fence: fenceSchema, claim: claimSchema })
export type OwnedAttempt = z.infer<typeof ownedAttemptSchema>

export const heartbeatSchema = z.object({
  /** The same after a restart on the same data dir; two live processes never share it. */
  worker: outsideName(),
  /** Random, made at each process start: a new boot of a worker proves that its earlier process is gone. */
  boot: outsideName(),
  /**
   * Boots of earlier processes of the same folder, all known to be gone. While a boot that is not among them
   * is still heard of, the heartbeat is refused with 409 `worker_id_in_use`, and so is one of a boot that was
   * replaced: two live processes have one id, so the one that is told takes another. Left out by workers that
   * do not know.
   */
  predecessors: z.array(outsideName()).max(PREDECESSORS_MAX).optional(),
  pool: z.string().regex(POOL_PATTERN),
  /**
   * The queue it reads: `queueOf` its pool and what it serves. Workers of one pool that serve different
   * things read different queues, so that none gets what it cannot make. Left out, that of its pool.
   */
  queue: z.string().regex(QUEUE_PATTERN).optional(),
  /**
   * Slots whose runner is ready and does not rest after failures; 0 while the queue cannot be reached or the
   * host keeps videos from being made.
   */
  slots: outsideCount(0, DEVICES_MAX),
  /**
   * What these slots have loaded, or are loading. Left out by workers that do not say it: then no video is
   * preferred for them.
   */
  loaded: z.array(loadedSlotSchema).max(DEVICES_MAX).optional(),
  device: outsideName(),
  devices_per_slot: outsideCount(1, DEVICES_MAX),
  vram_bytes: outsideBytes(),
  models: z.array(outsideName()).max(MODELS_MAX),
  /** The modes it serves with each of its models. */
  modes: z.array(z.enum(MODES)).max(MODES.length).default(['t2v', 'i2v']),
  limits: z.object({
    frames_max: outsideCount(1),
    pixels_max: outsideCount(1),
    /** How many devices share one sequence: 512 + video tokens must be a multiple of it. */
    sequence_devices: outsideCount(1, DEVICES_MAX).optional(),
  }),
  /** Micro-units of the currency per slot and hour; null when the operator set none. */
  cost_per_hour_micros: z.string().regex(COST_PATTERN).nullable(),
  /** True once a shutdown began: the worker takes no further jobs. */
  draining: z.boolean(),
  /** The attempts it owns: taken, running, uploading, and finished but not answered yet. */
  attempts: z.array(ownedAttemptSchema).max(OWNED_MAX),
})
export type Heartbeat = z.input<typeof heartbeatSchema>

export const heartbeatAnswerSchema = z.object({
  /**
   * What the queues of this installation are named after, so that several can share a Redis. A worker learns
   * it here, before it opens its queue.
   */
  installation: z
    .string()
    .regex(/^[0-9a-f]{1,32}$/)
    .optional(),
  attempts: z.array(
    z.object({ video: z.string(), fence: z.int().positive(), claim: z.string(), verdict: z.enum(VERDICTS) }),
  ),
})
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>
