import { z } from 'zod'
import { generationSchema } from './generation.ts'
import { makesSchema } from './models/makes.ts'
import { MODES, PRECISIONS } from './models/model.ts'
import { measuredBytes, measuredSeconds, saidUses } from './outside-values.ts'

/**
 * The messages between a worker and its runner. The runner is a child process. Requests are JSON lines on its
 * stdin, replies are JSON lines on file descriptor 3. Libraries print on stdout, so stdout and stderr are
 * logs, never protocol.
 *
 * `load` is answered by `ready`, or by `failed` without an id. While the model loads, the runner may send
 * `progress` with the id `load`, which no video has.
 *
 * A model that the runner cannot serve fails the load, with `model_missing` or `bad_input` and the reason.
 *
 * `generate` is answered by `started`, any number of `progress` and `checkpoint`, then one of
 *   `released`, then `finished` or `failed`: after `released` the next `generate` may be sent at once
 *   `cancelled`, `yielded` or `failed`: the device is free as well
 *
 * A `cancel` or `yield` for an id that is no longer being generated is ignored. The end of stdin means
 * `shutdown`.
 *
 * A runner of several models keeps one of them on its device, and switches when a `generate` names another:
 * it then sends `progress` of phase `load`, and `timings.load` of `finished` holds the seconds that the
 * switch took. A model that it does not serve is answered by `failed` with `model_missing`.
 *
 * Each phase sends a message at least every few seconds. A worker kills a runner that is silent for longer
 * than its stall limit, and the attempt fails as retryable.
 *
 * `fixtures/runner/` has one message of each kind; the Python runners are tested against the same files.
 */

export const RUNNER_ERROR_CODES = [
  'bad_input',
  'out_of_memory',
  'device_lost',
  'model_missing',
  'internal',
  // What the runner drives made something else than what was asked for.
  'bad_output',
  // The server that the runner drives takes no work now: no fault of any video.
  'engine_away',
] as const
export type RunnerErrorCode = (typeof RUNNER_ERROR_CODES)[number]

/** Absolute paths within the `workdir` of the request. */
const filesSchema = z.object({ video: z.string(), thumbnail: z.string(), spritesheet: z.string() })

/**
 * A model that a runner shall serve. Where its weights are on this machine stands as absolute paths: its own
 * pipeline folder or checkpoint, or without one the base model's. A LoRA, if there is one, is added to them
 * with its strength.
 */
const servedModelSchema = z.object({
  id: z.string(),
  /** A folder with a `model_index.json`. */
  folder: z.string().optional(),
  checkpoint: z.string().optional(),
  lora: z.object({ path: z.string(), strength: z.number() }).optional(),
  /** For a runner of the library `diffusers`: the class of the pipeline by mode. */
  pipelines: z.partialRecord(z.enum(MODES), z.string()).optional(),
  /** For a runner of Open-Sora (`StepCache`). Absent = every step is run in full. */
  step_cache: z.object({ threshold: z.number() }).optional(),
  /** For a runner of Open-Sora: what the transformer is kept in. Absent = its weights as they are. */
  precision: z.enum(PRECISIONS).optional(),
  /** For a runner that drives an engine: the engine's name of the model. Absent = the id. */
  engine_model: z.string().optional(),
  /**
   * What a request of it may ask for, and how its tokens are counted. Absent for a model that no catalogue
   * describes: then Open-Sora's values hold.
   */
  makes: makesSchema.optional(),
})
export type ServedModel = z.infer<typeof servedModelSchema>

export const runnerRequestSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('load'),
    /** The model to load first. */
    model: z.string(),
    /**
     * Every model that this runner shall serve, including `model`. Absent = `model` alone, with the runner's
     * own weights.
     */
    models: z.array(servedModelSchema).optional(),
  }),
  z.object({
    type: z.literal('generate'),
    id: z.string(),
    request: generationSchema,
    /** An existing, empty folder of this attempt; the runner writes nowhere else. */
    workdir: z.string(),
    /** The checkpoint of an earlier attempt; refused with `bad_input` when its parameters differ. */
    resume: z.object({ step: z.int().nonnegative(), path: z.string() }).optional(),
    /** Mode i2v: local PNG or JPEG files for the first frame (head), the last frame (tail), or both. */
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
    /** The kind of device: `cpu`, `h100`, ... */
    device: z.string(),
    devices: z.int().positive(),
    vram_bytes: z.number().nonnegative(),
    /** The models it serves: all `models` of `load`. Others that it names are not asked of it. */
    models: z.array(z.string()),
    /** The modes it serves with them: t2v and i2v where the model makes them. Absent = t2v and i2v. */
    modes: z.array(z.enum(MODES)).optional(),
    limits: z.object({
      frames_max: z.int().positive(),
      pixels_max: z.int().positive(),
      /** How many devices share a sequence: 512 + video tokens must be a multiple of it. Absent = any. */
      sequence_devices: z.int().positive().optional(),
    }),
    /** Whether it changes from one model to another at once, as one without weights does. Absent = no. */
    switches_at_once: z.boolean().optional(),
    /** What it computes with, as it chose or was told: `{"attention": "sdpa-cudnn"}`. For people. */
    uses: saidUses().optional(),
  }),
  z.object({ type: z.literal('started'), id: z.string() }),
  /**
   * `step` of `steps` are done. Phase `load` loads the weights of another model, `encode` encodes the text.
   */
  z.object({
    type: z.literal('progress'),
    id: z.string(),
    phase: z.enum(['load', 'encode', 'denoise', 'decode', 'mux']),
    step: z.int().nonnegative(),
    steps: z.int().positive(),
    /**
     * An estimate of the time until the device is free, by a runner that does not see the steps. Absent = the
     * worker estimates it by them.
     */
    remaining_ms: z.number().nonnegative().optional(),
  }),
  /**
   * A complete checkpoint (renamed into place) of `step` steps. A later one may replace it at the same path.
   */
  z.object({ type: z.literal('checkpoint'), id: z.string(), step: z.int().positive(), path: z.string() }),
  z.object({ type: z.literal('released'), id: z.string() }),
  z.object({
    type: z.literal('finished'),
    id: z.string(),
    files: filesSchema,
    /** Seconds by phase: `denoise` for the steps this attempt ran itself, `load` for a switch of models. */
    timings: measuredSeconds(),
    /** Video tokens times the steps that this attempt ran itself; those before a resume do not count. */
    tokens: z.int().nonnegative(),
    peak_vram_bytes: measuredBytes(),
    seed: z.int().nonnegative(),
    /** Whether the clip has an audio track. Absent = what the model's `makes` says. */
    sound: z.boolean().optional(),
    /** What this clip was computed with, as of `ready`. */
    uses: saidUses().optional(),
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
