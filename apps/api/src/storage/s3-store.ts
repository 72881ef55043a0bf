import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  PutObjectCommand,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { pause } from '@sluice/shared/pause'
import type { SettingError } from '@sluice/shared/settings'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { checkContentType, contentTypeOf } from './content-type.ts'
import {
  attachment,
  type ByteRange,
  checkBytesMax,
  checkExpiry,
  checkKey,
  checkRange,
  deferError,
  folderOf,
  type ObjectInfo,
  type ObjectStore,
  ObjectTooLargeError,
  type OpenObject,
  RangeUnsatisfiableError,
  type SignGetOptions,
  type SignPutOptions,
  StoreUnreachableError,
} from './object-store.ts'
import { LimitedS3Client, type StoreLimits, statusOf } from './s3-client.ts'
import { isMissingBucket, judgeBucketFault, judgeS3Fault, NoS3AnswerError } from './s3-fault.ts'

export interface S3Settings {
  /** Where this process and the workers reach the S3 server. */
  endpoint: string
  /** Where customers reach it, when that differs. */
  publicEndpoint?: string
  bucket: string
  region: string
  /** The bucket is in the path, not in the host name, as self-hosted servers expect it. */
  forcePathStyle: true
}

/** The smallest part that S3 accepts; 10,000 of them are the most, 50 GB. About six are in memory. */
const PART_BYTES = 5 * 1024 ** 2
const PARTS_AT_ONCE = 2
/** Between two looks at a store that is away at the start. */
const START_AGAIN_MS = 1_000

/** What a start may be given besides its settings. */
export interface OpenOptions {
  /** Called once, with a line for people, when the store is away and is waited for. */
  onWaiting?: (line: string) => void
  /** A test shortens them. */
  limits?: Partial<StoreLimits>
}

/**
 * Opens the bucket, or makes it where the credentials allow that. A server that is merely away is waited for.
 * Throws SettingError when a setting is wrong, and StoreUnreachableError when the server stays away.
 */
export async function openS3Store(settings: S3Settings, options: OpenOptions = {}): Promise<S3Store> {
  const limits = { ...TIME_LIMITS.store, ...options.limits }
  const store = new S3Store(settings, limits)
  const giveUpAtMs = performance.now() + limits.startMs
  try {
    for (let isSaid = false; ; isSaid = true) {
      const fault = await store.makeBucket().catch((error: unknown) => error)
      if (fault === undefined) return store
      if (!(fault instanceof StoreUnreachableError) || performance.now() >= giveUpAtMs) throw fault
      if (!isSaid) options.onWaiting?.(`${fault.message}; waiting for it`)
      await pause(START_AGAIN_MS)
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Objects in one bucket of an S3 server; see ObjectStore for what each call promises. */
export class S3Store implements ObjectStore {
  readonly #settings: S3Settings
  readonly #client: LimitedS3Client
  /** Signs only: a signature covers the host, so what customers get must be signed for the host they see. */
  readonly #publicClient: LimitedS3Client

  constructor(settings: S3Settings, limits: StoreLimits = TIME_LIMITS.store) {
    this.#settings = settings
    this.#client = new LimitedS3Client(settings, limits)
    this.#publicClient = new LimitedS3Client(
      { ...settings, endpoint: settings.publicEndpoint ?? settings.endpoint },
      limits,
    )
  }

  async put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo> {
    deferError(body)
    try {
      checkKey(key)
      checkContentType(key, contentType)
      const target = { Bucket: this.#settings.bucket, Key: key, ContentType: contentType }
      if (Buffer.isBuffer(body)) {
        const command = new PutObjectCommand({ ...target, Body: body, ContentLength: body.length })
        const { ETag } = await this.#client.moveFile((options) => this.#client.sdk.send(command, options))
        return { bytes: body.length, contentType, etag: ETag ?? '' }
      }
      const upload = new Upload({
        client: this.#client.sdk,
        params: { ...target, Body: body },
        partSize: PART_BYTES,
        queueSize: PARTS_AT_ONCE,
      })
      let bytes = 0
      upload.on('httpUploadProgress', (progress) => {
        bytes = progress.loaded ?? bytes
      })
      const { ETag } = await this.#client.upload(() => upload.done())
      return { bytes, contentType, etag: ETag ?? '' }
    } catch (error) {
      if (Buffer.isBuffer(body)) throw error
      body.destroy()
      // When the source failed, its error is the reason, not one of aborting the upload.
      throw body.errored ?? error
    }
  }

  async get(key: string, range?: ByteRange): Promise<OpenObject | null> {
    checkKey(key)
    if (range !== undefined) checkRange(range)
    const rangeHeader = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }
    const command = new GetObjectCommand({ Bucket: this.#settings.bucket, Key: key, ...rangeHeader })
    try {
      const answer = await this.#client.ask((options) => this.#client.sdk.send(command, options), [404, 416])
      if (!(answer.Body instanceof Readable)) throw new TypeError('the S3 client returned no stream')
      const bytes = answer.ContentLength ?? 0
      return {
        body: answer.Body,
        bytes,
        totalBytes: Number(answer.ContentRange?.split('/').at(1) ?? bytes),
        contentType: answer.ContentType ?? contentTypeOf(key),
        etag: answer.ETag ?? '',
      }
    } catch (error) {
      if (statusOf(error) === 404) return this.#absent()
      if (statusOf(error) !== 416 || range === undefined) throw error
      const info = await this.head(key)
      if (info === null) return null
      throw new RangeUnsatisfiableError(key, range, info.bytes)
    }
  }

  async head(key: string): Promise<ObjectInfo | null> {
    checkKey(key)
    const command = new HeadObjectCommand({ Bucket: this.#settings.bucket, Key: key })
    try {
      const answer = await this.#client.ask((options) => this.#client.sdk.send(command, options), [404])
      return {
        bytes: answer.ContentLength ?? 0,
        contentType: answer.ContentType ?? contentTypeOf(key),
        etag: answer.ETag ?? '',
      }
    } catch (error) {
      if (statusOf(error) === 404) return this.#absent()
      throw error
    }
  }

  async readText(key: string, bytesMax: number): Promise<string | null> {
    const opened = await this.get(key)
    if (opened === null) return null
    if (opened.totalBytes > bytesMax) {
      opened.body.destroy()
      throw new ObjectTooLargeError(key, bytesMax)
    }
    try {
      return (await this.#client.moveFile(() => buffer(opened.body))).toString('utf8')
    } finally {
      opened.body.destroy()
    }
  }

  async deletePrefix(prefix: string, keep: ReadonlySet<string> = new Set()): Promise<number> {
    const target = { Bucket: this.#settings.bucket, Prefix: folderOf(prefix) }
    let deleted = 0
    let isTruncated = true
    let last: string | undefined
    // A page has at most 1,000 keys, as many as one delete takes. Version 1 of the listing continues after a
    // key, which still works once that key is deleted; the tokens of version 2 differ from server to server.
    while (isTruncated) {
      const command = new ListObjectsCommand({ ...target, Marker: last })
      const page = await this.#client.ask((options) => this.#client.sdk.send(command, options))
      const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
      isTruncated = page.IsTruncated === true && keys.length > 0
      last = keys.at(-1)
      const doomed = keys.filter((key) => !keep.has(key))
      if (doomed.length > 0) deleted += await this.#deleteKeys(doomed)
    }
    return deleted
  }

  async copy(from: string, to: string): Promise<ObjectInfo | null> {
    checkKey(to)
    checkContentType(to, contentTypeOf(from))
    const info = await this.head(from)
    if (info === null) return null
    const { bucket } = this.#settings
    const command = new CopyObjectCommand({
      Bucket: bucket,
      Key: to,
      // A key needs no percent-encoding.
      CopySource: `${bucket}/${from}`,
      CopySourceIfMatch: info.etag,
    })
    try {
      const { CopyObjectResult } = await this.#client.moveFile(
        (options) => this.#client.sdk.send(command, options),
        [404],
      )
      return { ...info, etag: CopyObjectResult?.ETag ?? info.etag }
    } catch (error) {
      if (statusOf(error) === 404) return this.#absent()
      throw error
    }
  }

  async ping(): Promise<void> {
    const { fault } = (await this.findFault()) ?? {}
    if (fault === undefined) return
    if (fault instanceof StoreUnreachableError) throw fault
    throw new StoreUnreachableError(fault.setting, fault.given ?? '', fault.allowed, { cause: fault })
  }

  async signPut(key: string, options: SignPutOptions): Promise<string> {
    checkKey(key)
    checkContentType(key, options.contentType)
    checkExpiry(options.expiresInSeconds)
    checkBytesMax(options.bytesMax)
    const command = new PutObjectCommand({
      Bucket: this.#settings.bucket,
      Key: key,
      ContentType: options.contentType,
    })
    // The SDK leaves content-type out of the signature unless it is named.
    return getSignedUrl(this.#client.sdk, command, {
      expiresIn: options.expiresInSeconds,
      signingDate: this.#storeDate(),
      signableHeaders: new Set(['content-type']),
    })
  }

  async signGet(key: string, options: SignGetOptions): Promise<string> {
    checkKey(key)
    checkExpiry(options.expiresInSeconds)
    const disposition =
      options.downloadName === undefined
        ? {}
        : { ResponseContentDisposition: attachment(options.downloadName) }
    const command = new GetObjectCommand({ Bucket: this.#settings.bucket, Key: key, ...disposition })
    const client = options.audience === 'worker' ? this.#client : this.#publicClient
    return getSignedUrl(client.sdk, command, {
      expiresIn: options.expiresInSeconds,
      signingDate: this.#storeDate(),
    })
  }

  clockAheadMs(): number {
    return this.#client.clockAheadMs()
  }

  async close(): Promise<void> {
    this.#client.destroy()
    this.#publicClient.destroy()
  }

  /**
   * What is wrong with the settings, or that the server is away; null when the bucket can be used. One that
   * only has to be made is named too.
   */
  async findFault(): Promise<{
    fault: SettingError | StoreUnreachableError
    isMissingBucket: boolean
  } | null> {
    const error = await this.#list()
    if (error === null) return null
    return { fault: judgeS3Fault(error, this.#settings), isMissingBucket: isMissingBucket(error) }
  }

  /**
   * Makes the bucket unless it exists. Throws SettingError when a setting is wrong, and StoreUnreachableError
   * when the server is away.
   */
  async makeBucket(): Promise<void> {
    const { bucket, region } = this.#settings
    const fault = await this.#list()
    if (fault === null) return
    if (!isMissingBucket(fault)) throw judgeS3Fault(fault, this.#settings)
    // us-east-1 is the default, and S3 refuses a request that names it.
    const place =
      region === 'us-east-1'
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: region as BucketLocation } }
    const command = new CreateBucketCommand({ Bucket: bucket, ...place })
    try {
      await this.#client.askRaw((options) => this.#client.sdk.send(command, options))
    } catch (error) {
      // Another process, started at the same time, made it first.
      if (error instanceof S3ServiceException && error.name === 'BucketAlreadyOwnedByYou') return
      throw judgeBucketFault(error, this.#settings)
    }
  }

  /** What a listing of the bucket meets, or null: it says more than HEAD, whose refusals have no code. */
  async #list(): Promise<unknown> {
    const command = new ListObjectsCommand({ Bucket: this.#settings.bucket, MaxKeys: 1 })
    try {
      const page = await this.#client.askRaw((options) => this.#client.sdk.send(command, options))
      return page.Name === undefined && page.IsTruncated === undefined ? new NoS3AnswerError() : null
    } catch (error) {
      return error
    }
  }

  /** Null for an object that is absent from a bucket that is there: a bucket that is gone holds no answer. */
  async #absent(): Promise<null> {
    const command = new HeadBucketCommand({ Bucket: this.#settings.bucket })
    await this.#client.ask((options) => this.#client.sdk.send(command, options))
    return null
  }

  /** Now, by the clock of who will judge whether a URL has expired. */
  #storeDate(): Date {
    return new Date(Date.now() + this.#client.clockAheadMs())
  }

  /** Deletes at most 1,000 keys. Returns how many of them existed. */
  async #deleteKeys(keys: readonly string[]): Promise<number> {
    const command = new DeleteObjectsCommand({
      Bucket: this.#settings.bucket,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    })
    const answer = await this.#client.ask((options) => this.#client.sdk.send(command, options))
    const errors = answer.Errors ?? []
    // A key that another delete removed meanwhile: S3 reports it as deleted, VersityGW as an error.
    const refused = errors.find(({ Code }) => Code !== 'NoSuchKey')
    if (refused !== undefined)
      throw new Error(`the S3 server did not delete ${refused.Key}: ${refused.Code} ${refused.Message}`)
    return keys.length - errors.length
  }
}

type BucketLocation = NonNullable<
  NonNullable<CreateBucketCommand['input']['CreateBucketConfiguration']>['LocationConstraint']
>
