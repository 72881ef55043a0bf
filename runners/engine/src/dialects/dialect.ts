import type { EngineDialect } from '@sluice/shared/engine-settings'
import type { Generation } from '@sluice/shared/generation'
import type { I2vCondition, Mode } from '@sluice/shared/models/model'
import type { RunnerErrorCode } from '@sluice/shared/runner-protocol'
import type { EngineAnswer, EngineRequest } from '../engine-http.ts'

/** An image that a clip starts with, ends with, or both. */
export interface EngineImage {
  file: File
  condition: I2vCondition
}

/** What is asked of an engine. */
export interface WantedVideo {
  generation: Generation
  /** The engine's name of the model. */
  engineModel: string
  /** The same for every request that means the same job, from whatever host. */
  idempotencyKey: string
  /** Whether the clip is to have an audio track. */
  sound: boolean
  image: EngineImage | null
}

/** Why a job failed, as the engine says it. */
export interface JobFailure {
  code: RunnerErrorCode
  message: string
  retryable: boolean
}

/** A job as the engine describes it. */
export interface EngineJob {
  id: string
  state: 'queued' | 'running' | 'completed' | 'failed'
  /** Steps that are done, at most `steps`; null = the engine does not say how far it is. */
  steps: number | null
  /** The size that it makes; null = it does not say. */
  size: string | null
  failure: JobFailure | null
}

/**
 * How one kind of server speaks `/v1/videos`. All of them create with POST /v1/videos, show a job with GET
 * /v1/videos/{id}, send the file with GET /v1/videos/{id}/content and list their models with GET /v1/models;
 * what differs stands here.
 */
export interface Dialect {
  name: EngineDialect
  /** What its entries in GET /v1/models have as `owned_by`; null = various. */
  ownedBy: string | null
  modes: readonly Mode[]
  /** Where it puts the image of mode i2v. */
  conditions: readonly I2vCondition[]
  /** Whether the same idempotency key again answers the same job. */
  isIdempotent: boolean
  /** Whether a cancelled job leaves the device at once. */
  cancelFreesDevice: boolean
  /**
   * Whether its jobs outlive its processes and wait in a queue of its own: then a job that was yielded is
   * left to it.
   */
  keepsJobs: boolean
  /** The request that makes the video. Throws RunnerFailure `bad_input` for what it cannot express. */
  create(wanted: WantedVideo): EngineRequest | Promise<EngineRequest>
  /** The job in an answer; undefined when it describes none. `steps`: those of the whole video. */
  jobOf(answer: EngineAnswer, steps: number): EngineJob | undefined
  /** Stops the job, or at least takes it away; null = there is no such request. */
  cancel(jobId: string): EngineRequest | null
  /** Removes a job whose video has been stored elsewhere; null = it is left to the engine. */
  remove(jobId: string): EngineRequest | null
}
