import { z } from 'zod'
import { generationSchema } from './generation.ts'
import { MODES } from './model-catalogue.ts'

/**
 * Worker <-> runner. The runner is a child process: requests are JSON lines on its stdin, replies are JSON lines on
 * file descriptor 3 (libraries print on stdout, so stdout and stderr are logs, never protocol).
 *
 * Order of replies: `load` -> `ready` | `failed` (without id). `generate` -> `started`, `progress`*, `checkpoint`*, then one of
 *   `released` -> (`finished` | `failed`)     the device is free after `released`; the next `generate` may be sent at once
 *   `cancelled` | `yielded` | `failed`        the device is free too
 * A `cancel` or `yield` for an id that is not generating any more is ignored. End of stdin means `shutdown`.
 * A `progress` with the id `load`, which no video has, may say that a model is still loading.
 * A runner that serves several models keeps one in its device and switches when a `generate` names another: `progress` of phase `load`
 *   says so, and `timings.load` of `finished` holds the seconds it took. A model it does not serve is `failed` with `model_missing`.
 * Every phase sends something at least every few seconds; silence longer than the worker's stall bound = kill and retry.
 * One message of each kind stands in `fixtures/runner/`; the Python runners are tested against the same files.
 */

export const RUNNER_ERROR_CODES = [
  'bad_input',
  'out_of_memory',
  'device_lost',
  'model_missing',
  'internal',
] as const
export type RunnerErrorCode = (typeof RUNNER_ERROR_CODES)[number]

/** Paths are absolute and lie within the `workdir` of the request. */
const filesSchema = z.object({ video: z.string(), thumbnail: z.string(), spritesheet: z.string() })

/**
 * Where a model's weights lie on this machine, as absolute paths: its own checkpoint, or the base model's when there is none;
 * a LoRA, if any, is added onto them with this strength.
 */
export const modelWeightsSchema = z.object({
  id: z.string(),
  checkpoint: z.string().optional(),
  lora: z.object({ path: z.string(), strength: z.number() }).optional(),
})
export type ModelWeights = z.infer<typeof modelWeightsSchema>

export const runnerRequestSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('load'),
    /** Loaded now. */
    model: z.string(),
    /** Every model this runner is to serve, `model` among them; absent = `model` alone, with the runner's own weights. */
    models: z.array(modelWeightsSchema).optional(),
  }),
  z.object({
    type: z.literal('generate'),
    id: z.string(),
    request: generationSchema,
    /** An existing empty folder that belongs to this attempt; the runner writes nowhere else. */
    workdir: z.string(),
    /** A checkpoint an earlier attempt at the same generation wrote; refused with `bad_input` when its parameters differ. */
    resume: z.object({ step: z.int().nonnegative(), path: z.string() }).optional(),
    /** Mode i2v: local PNG or JPEG files, of the first frame (head), the last (tail) or one of each. */
    references: z.array(z.object({ position: z.enum(['head', 'tail']), path: z.string() })).optional(),
  }),
  z.object({ type: z.literal('cancel'), id: z.string() }),
  z.object({ type: z.literal('yield'), id: z.string() }),
  z.object({ type: z.literal('shutdown') }),
])
export type RunnerRequest = z.infer<typeof runnerRequestSchema>

export const runnerReplySchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('ready'),
    /** Device family, `cpu`, `h100`, ... */
    device: z.string(),
    devices: z.int().positive(),
    vram_bytes: z.number().nonnegative(),
    /** What it serves: all of `load`'s `models`. */
    models: z.array(z.string()),
    /** What it can make with them; absent = t2v and i2v. */
    modes: z.array(z.enum(MODES)).optional(),
    limits: z.object({
      frames_max: z.int().positive(),
      pixels_max: z.int().positive(),
      /** Devices a sequence is split over: 512 + video tokens must be a multiple of it. Absent = no such rule. */
      sequence_devices: z.int().positive().optional(),
    }),
  }),
  z.object({ type: z.literal('started'), id: z.string() }),
  /** `step` steps of `steps` are done. Phases: load (weights of another model), encode (text), denoise, decode, mux. */
  z.object({
    type: z.literal('progress'),
    id: z.string(),
    phase: z.enum(['load', 'encode', 'denoise', 'decode', 'mux']),
    step: z.int().nonnegative(),
    steps: z.int().positive(),
  }),
  /** A complete checkpoint (atomic rename) that holds `step` finished steps. A later one may overwrite the same path. */
  z.object({ type: z.literal('checkpoint'), id: z.string(), step: z.int().positive(), path: z.string() }),
  z.object({ type: z.literal('released'), id: z.string() }),
  z.object({
    type: z.literal('finished'),
    id: z.string(),
    files: filesSchema,
    /** Seconds by phase; `denoise` covers the steps this attempt ran itself, `load` a switch of models if there was one. */
    timings: z.record(z.string(), z.number()),
    /** Video tokens times the steps this attempt ran itself (a resumed attempt counts only its own). */
    tokens: z.int().nonnegative(),
    peak_vram_bytes: z.number().nonnegative(),
    seed: z.int().nonnegative(),
  }),
  z.object({
    type: z.literal('failed'),
    id: z.string().optional(),
    code: z.enum(RUNNER_ERROR_CODES),
    message: z.string(),
    retryable: z.boolean(),
  }),
  z.object({ type: z.literal('cancelled'), id: z.string(), step: z.int().nonnegative() }),
  z.object({
    type: z.literal('yielded'),
    id: z.string(),
    step: z.int().nonnegative(),
    path: z.string().optional(),
  }),
])
export type RunnerReply = z.infer<typeof runnerReplySchema>
