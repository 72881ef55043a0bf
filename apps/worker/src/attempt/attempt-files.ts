import { join } from 'node:path'
import { type Assignment, UPLOAD_CONTENT_TYPES, type UploadName } from '@sluice/shared/attempt-contract'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Logger } from 'pino'
import { logEachReason, reasonOf } from '../error-message.ts'
import { Backoff, retrying } from '../retrying.ts'
import { isOfHost } from './host-failure.ts'
import { InputDamagedError, requireHash } from './input-image.ts'
import { getFile, putBody, putFile, TransferError, type TransferRules } from './transfer.ts'

/** The input image cannot be had here; without it there is nothing to generate. */
export class InputUnavailableError extends Error {
  override name = 'InputUnavailableError'
}

export interface AttemptFilesDeps {
  /** Where downloads go; exists. */
  folder: string
  /** Aborted when the attempt is over. */
  ended: AbortSignal
  /** Asks for the assignment again, whose signed URLs are then fresh; null when none comes in time. */
  freshAssignment(withinMs: number): Promise<Assignment | null>
  log: Logger
  /** A test shortens them. */
  limits?: TransferRules['limits']
}

/** What a store that is away for so long takes is less than what a start from step 0 takes. */
const CHECKPOINT_MS_MAX = 60_000
/** An image is small; when the store is away for longer than this, another worker may try. */
const INPUT_MS_MAX = 60_000
/** URLs are asked for again when they are good for less than this: the longest transfer. */
const URL_MARGIN_MS = TIME_LIMITS.transfer.wholeMs
/** How often one upload may ask for fresh URLs. */
const FRESH_URLS_MAX = 5

/** What one attempt downloads and uploads, over signed URLs that may expire on the way. */
export class AttemptFiles {
  readonly #deps: AttemptFilesDeps
  #assignment: Assignment
  /** By the monotonic clock; the URLs may be good for longer than they are used. */
  #urlsGoodUntilMs: number
  #resume: { step: number; path: string } | undefined

  constructor(assignment: Assignment, deps: AttemptFilesDeps) {
    this.#assignment = assignment
    this.#urlsGoodUntilMs = goodUntilMs(assignment)
    this.#deps = deps
  }

  /** The checkpoint to go on from, once it is here. */
  get resume(): { step: number; path: string } | undefined {
    return this.#resume
  }

  /**
   * Gets the assignment's checkpoint; without one the attempt starts at step 0. Throws only what the host is
   * to blame for, such as a full disk: no file would fit.
   */
  async fetchCheckpoint(): Promise<void> {
    const { resume } = this.#assignment
    if (resume === null) return
    const { ended, folder, log } = this.#deps
    const path = join(folder, 'resume.checkpoint')
    const signal = AbortSignal.any([ended, AbortSignal.timeout(CHECKPOINT_MS_MAX)])
    const logTry = logEachReason(log, { step: resume.step }, 'the checkpoint cannot be fetched')
    const fetchOnce = async () => {
      try {
        // Read at each try, since expired URLs are replaced.
        await getFile(this.#assignment.resume?.url ?? resume.url, path, this.#rules(signal))
      } catch (error) {
        logTry(error)
        throw error
      }
    }
    const mayRetry = async (error: unknown) => {
      if (!this.#isWorthFetchingAgain(error)) return false
      if (error instanceof TransferError && error.expired) await this.#freshenUrls(CHECKPOINT_MS_MAX)
      return true
    }
    try {
      await retrying(fetchOnce, { signal, backoff: new Backoff(200, 5_000), mayRetry })
      this.#resume = { step: resume.step, path }
    } catch (error) {
      // Logged.
      if (this.#isOfHost(error)) throw error
    }
  }

  /** Returns the path of the image of mode i2v; undefined in other modes. Throws InputUnavailableError. */
  async fetchInputImage(): Promise<string | undefined> {
    if (this.#assignment.inputs === undefined) return undefined
    const path = join(this.#deps.folder, 'reference.png')
    const logTry = logEachReason(this.#deps.log, {}, 'the image is fetched again')
    const signal = AbortSignal.any([this.#deps.ended, AbortSignal.timeout(INPUT_MS_MAX)])
    const fetchOnce = async () => {
      // Read at each try, since expired URLs are replaced.
      const { inputs, request } = this.#assignment
      if (inputs === undefined) throw new Error('the new assignment names no image')
      await getFile(inputs.reference, path, this.#rules(signal))
      await requireHash(path, request.reference_sha256)
    }
    const mayRetry = async (error: unknown) => {
      if (!this.#isWorthFetchingAgain(error)) return false
      logTry(error)
      if (error instanceof TransferError && error.expired) await this.#freshenUrls(INPUT_MS_MAX)
      return true
    }
    try {
      await retrying(fetchOnce, { signal, backoff: new Backoff(200, 5_000), mayRetry })
      return path
    } catch (error) {
      throw new InputUnavailableError(`The image cannot be fetched: ${reasonOf(error)}`)
    }
  }

  /**
   * Puts one file, through outages and expired URLs, for at most `withinMs`. Returns its bytes; throws the
   * last try's error.
   */
  async upload(name: UploadName, source: string | { json: string }, withinMs: number): Promise<number> {
    const signal = AbortSignal.any([this.#deps.ended, AbortSignal.timeout(withinMs)])
    const contentType = UPLOAD_CONTENT_TYPES[name]
    const rules = this.#rules(signal)
    const putOnce = async () => {
      if (performance.now() > this.#urlsGoodUntilMs) await this.#freshenUrls(withinMs)
      const url = this.#assignment.uploads[name]
      return typeof source === 'string'
        ? await putFile(url, source, contentType, rules)
        : await putBody(url, source.json, contentType, rules)
    }
    const logTry = logEachReason(this.#deps.log, { file: name }, 'an upload is tried again')
    let freshUrls = 0
    const mayRetry = async (error: unknown) => {
      if (!(error instanceof TransferError)) return false
      if (error.expired && freshUrls < FRESH_URLS_MAX) {
        freshUrls += 1
        await this.#freshenUrls(withinMs)
      } else if (!error.again) {
        return false
      }
      logTry(error)
      return true
    }
    return await retrying(putOnce, { signal, backoff: new Backoff(300, 8_000), mayRetry })
  }

  async #freshenUrls(withinMs: number): Promise<void> {
    const fresh = await this.#deps.freshAssignment(withinMs)
    if (fresh === null) return
    this.#assignment = fresh
    this.#urlsGoodUntilMs = goodUntilMs(fresh)
  }

  #isOfHost(error: unknown): boolean {
    return isOfHost(reasonOf(error), this.#deps.folder)
  }

  #isWorthFetchingAgain(error: unknown): boolean {
    if (error instanceof InputDamagedError) return true
    return error instanceof TransferError && (error.again || error.expired) && !this.#isOfHost(error)
  }

  #rules(signal: AbortSignal): TransferRules {
    const { limits } = this.#deps
    return limits === undefined ? { signal } : { signal, limits }
  }
}

/** An API of an older version does not say: its URLs were good for longer than any video takes. */
function goodUntilMs({ urls_expire_in_s: seconds }: Assignment): number {
  if (seconds === undefined) return Number.POSITIVE_INFINITY
  return performance.now() + seconds * 1_000 - URL_MARGIN_MS
}
