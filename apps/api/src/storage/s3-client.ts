import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import type { TIME_LIMITS } from '@sluice/shared/time-limits'
import { StoreUnavailableError } from './object-store.ts'

/** A client's limits; a test shortens them. */
export type StoreLimits = { readonly [Name in keyof typeof TIME_LIMITS.store]: number }

export interface S3ClientSettings {
  endpoint: string
  region: string
  /** The bucket is in the path, not in the host name, as self-hosted servers expect it. */
  forcePathStyle: true
}

/** Each open `get` uses a connection until it is read; with the SDK's default of 50 the 51st would wait. */
const CONNECTIONS_MAX = 256
/** An idle connection is closed before a firewall forgets it. */
const IDLE_MS_MAX = 15_000

/** What a call passes to the SDK, so that it can be stopped. */
export interface CallOptions {
  abortSignal: AbortSignal
  requestTimeout: number
}

/** The S3 client with a limit on every wait: to connect, for the first byte, between bytes, and in all. */
export class LimitedS3Client {
  readonly sdk: S3Client
  readonly #limits: StoreLimits
  readonly #agents: { http: HttpAgent; https: HttpsAgent }

  constructor(settings: S3ClientSettings, limits: StoreLimits) {
    this.#limits = limits
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_MS_MAX }
    this.#agents = { http: new HttpAgent(options), https: new HttpsAgent(options) }
    this.sdk = new S3Client({
      endpoint: settings.endpoint,
      region: settings.region,
      forcePathStyle: settings.forcePathStyle,
      // The default (CRC32 on every request) would put the checksum of an empty body into signed PUTs, and
      // few servers besides Amazon's know all kinds of checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: limits.connectMs,
        socketTimeout: limits.silenceMs,
        requestTimeout: limits.partMs,
        throwOnRequestTimeout: true,
        httpAgent: this.#agents.http,
        httpsAgent: this.#agents.https,
      },
    })
    this.sdk.middlewareStack.add(
      (next) => (args) =>
        next(args).catch((error: unknown) => {
          if (error instanceof Error && error.name === 'TimeoutError') this.#closeIdleAfterSilence()
          throw error
        }),
      { step: 'deserialize', priority: 'low', name: 'closeIdleAfterSilence' },
    )
  }

  /**
   * A call that moves no file: its first byte and all its tries have a limit. Throws the S3ServiceException
   * of an answer whose status is `expected`, and StoreUnavailableError for all else that goes wrong.
   */
  ask<T>(call: (options: CallOptions) => Promise<T>, expected: readonly number[] = []): Promise<T> {
    const { answerMs, firstByteMs } = this.#limits
    return this.#typed(() => this.#within(answerMs, firstByteMs, call), expected)
  }

  /** As `ask`, for a call that moves or copies a whole file. */
  moveFile<T>(call: (options: CallOptions) => Promise<T>, expected: readonly number[] = []): Promise<T> {
    const { fileMs } = this.#limits
    return this.#typed(() => this.#within(fileMs, fileMs, call), expected)
  }

  /** As `ask`, for a long upload, which has a limit for each part and none in all. */
  upload<T>(work: () => Promise<T>): Promise<T> {
    return this.#typed(work, [])
  }

  /** As `ask`, but throws whatever the server answered as it is, for who judges the settings by it. */
  askRaw<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    return this.#within(this.#limits.answerMs, this.#limits.firstByteMs, call)
  }

  /** Milliseconds by which the server's clock was ahead when it last answered, to a second. */
  clockAheadMs(): number {
    return this.sdk.config.systemClockOffset
  }

  destroy(): void {
    this.sdk.destroy()
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #within<T>(
    wholeMs: number,
    firstByteMs: number,
    call: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    // Not AbortSignal.timeout: it would also stop a body that is still being read.
    const stopped = new AbortController()
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const error = Object.assign(new Error(`no answer within ${wholeMs} ms`), { name: 'TimeoutError' })
      stopped.abort(error)
      reject(error)
    }, wholeMs)
    try {
      // A race, since the SDK's pauses between tries hear no signal.
      return await Promise.race([call({ abortSignal: stopped.signal, requestTimeout: firstByteMs }), late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #typed<T>(work: () => Promise<T>, expected: readonly number[]): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const status = statusOf(error)
      if (status !== null && expected.includes(status)) throw error
      throw unavailable(error)
    }
  }

  /** Where one connection fell silent, the idle ones beside it may be as dead: none of them is used again. */
  #closeIdleAfterSilence(): void {
    for (const agent of Object.values(this.#agents)) {
      for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy()
    }
  }
}

/** What a call throws when its answer, or the rest of a body, did not come. */
function unavailable(error: unknown): StoreUnavailableError {
  const reason = statusOf(error) === 507 ? 'full' : 'away'
  return new StoreUnavailableError(reason, `the S3 server: ${describe(error)}`, { cause: error })
}

/** The HTTP status of a server's refusal; null when it did not answer. */
export function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

/** Name and message of an error. */
export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
