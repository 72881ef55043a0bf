import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
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
const CONNECT_MS_MAX = 5_000
const PING_MS_MAX = 5_000
/** Each open `get` uses a connection until it is read; with the SDK's default of 50 the 51st would wait. */
const CONNECTIONS_MAX = 256

/** Opens the bucket, or makes it where the credentials allow that. Throws StoreUnreachableError. */
export async function openS3Store(settings: S3Settings): Promise<S3Store> {
  const store = new S3Store(settings)
  try {
    await store.makeBucket()
    await store.ping()
  } catch (error) {
    await store.close()
    throw error
  }
  return store
}

/** Objects in one bucket of an S3 server; see ObjectStore for what each call promises. */
export class S3Store implements ObjectStore {
  readonly #settings: S3Settings
  readonly #client: S3Client
  /** Signs only: a signature covers the host, so what customers get must be signed for the host they see. */
  readonly #publicClient: S3Client

  constructor(settings: S3Settings) {
    this.#settings = settings
    this.#client = newClient(settings, settings.endpoint)
    this.#publicClient = newClient(settings, settings.publicEndpoint ?? settings.endpoint)
  }

  async put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo> {
    deferError(body)
    try {
      checkKey(key)
      checkContentType(key, contentType)
      const target = { Bucket: this.#settings.bucket, Key: key, ContentType: contentType }
      if (Buffer.isBuffer(body)) {
        const { ETag } = await this.#client.send(
          new PutObjectCommand({ ...target, Body: body, ContentLength: body.length }),
        )
        return { bytes: body.length, contentType, etag: ETag ?? '' }
      }
      const upload = new Upload({
        client: this.#client,
        params: { ...target, Body: body },
        partSize: PART_BYTES,
        queueSize: PARTS_AT_ONCE,
      })
      let bytes = 0
      upload.on('httpUploadProgress', (progress) => {
        bytes = progress.loaded ?? bytes
      })
      const { ETag } = await upload.done()
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
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({ Bucket: this.#settings.bucket, Key: key, ...rangeHeader }),
      )
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
      if (statusOf(error) === 404) return null
      if (statusOf(error) !== 416 || range === undefined) throw error
      const info = await this.head(key)
      if (info === null) return null
      throw new RangeUnsatisfiableError(key, range, info.bytes)
    }
  }

  async head(key: string): Promise<ObjectInfo | null> {
    checkKey(key)
    try {
      const answer = await this.#client.send(
        new HeadObjectCommand({ Bucket: this.#settings.bucket, Key: key }),
      )
      return {
        bytes: answer.ContentLength ?? 0,
        contentType: answer.ContentType ?? contentTypeOf(key),
        etag: answer.ETag ?? '',
      }
    } catch (error) {
      if (statusOf(error) === 404) return null
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
    return (await buffer(opened.body)).toString('utf8')
  }

  async deletePrefix(prefix: string): Promise<number> {
    const target = { Bucket: this.#settings.bucket, Prefix: folderOf(prefix) }
    let deleted = 0
    let isTruncated = true
    let last: string | undefined
    // A page has at most 1,000 keys, as many as one delete takes. Version 1 of the listing continues after a
    // key, which still works once that key is deleted; the tokens of version 2 differ from server to server.
    while (isTruncated) {
      const page = await this.#client.send(new ListObjectsCommand({ ...target, Marker: last }))
      const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [{ Key }]))
      isTruncated = page.IsTruncated === true && keys.length > 0
      last = keys.at(-1)?.Key
      if (keys.length > 0) deleted += await this.#deleteKeys(keys)
    }
    return deleted
  }

  async ping(): Promise<void> {
    try {
      await this.#headBucket()
    } catch (error) {
      throw this.#unreachable(error)
    }
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
    return getSignedUrl(this.#client, command, {
      expiresIn: options.expiresInSeconds,
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
    return getSignedUrl(client, command, { expiresIn: options.expiresInSeconds })
  }

  async close(): Promise<void> {
    this.#client.destroy()
    this.#publicClient.destroy()
  }

  /** Makes the bucket unless it exists. Throws StoreUnreachableError. */
  async makeBucket(): Promise<void> {
    const { bucket, region } = this.#settings
    try {
      await this.#headBucket()
      return
    } catch (error) {
      if (statusOf(error) !== 404) throw this.#unreachable(error)
    }
    // us-east-1 is the default, and S3 refuses a request that names it.
    const place =
      region === 'us-east-1'
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: region as BucketLocation } }
    try {
      await this.#client.send(new CreateBucketCommand({ Bucket: bucket, ...place }))
    } catch (error) {
      // Another process, started at the same time, made it first.
      if (error instanceof S3ServiceException && error.name === 'BucketAlreadyOwnedByYou') return
      throw new StoreUnreachableError(
        'SLUICE_S3_BUCKET',
        bucket,
        `the bucket is missing and could not be made (${describe(error)})`,
        { cause: error },
      )
    }
  }

  /** Deletes at most 1,000 keys. Returns how many of them existed. */
  async #deleteKeys(keys: { Key: string }[]): Promise<number> {
    const command = new DeleteObjectsCommand({
      Bucket: this.#settings.bucket,
      Delete: { Objects: keys, Quiet: true },
    })
    const errors = (await this.#client.send(command)).Errors ?? []
    // A key that another delete removed meanwhile: S3 reports it as deleted, VersityGW as an error.
    const refused = errors.find(({ Code }) => Code !== 'NoSuchKey')
    if (refused !== undefined)
      throw new Error(`the S3 server did not delete ${refused.Key}: ${refused.Code} ${refused.Message}`)
    return keys.length - errors.length
  }

  async #headBucket(): Promise<void> {
    const command = new HeadBucketCommand({ Bucket: this.#settings.bucket })
    await this.#client.send(command, { abortSignal: AbortSignal.timeout(PING_MS_MAX) })
  }

  #unreachable(error: unknown): StoreUnreachableError {
    const { endpoint, bucket, region } = this.#settings
    const options = { cause: error }
    if (error instanceof Error && error.name === 'CredentialsProviderError') {
      const reason = 'no S3 credentials: set it and AWS_SECRET_ACCESS_KEY, or another source of the AWS chain'
      return new StoreUnreachableError(
        'AWS_ACCESS_KEY_ID',
        process.env.AWS_ACCESS_KEY_ID ?? '',
        reason,
        options,
      )
    }
    switch (statusOf(error)) {
      case 404:
        return new StoreUnreachableError(
          'SLUICE_S3_BUCKET',
          bucket,
          `${endpoint} has no such bucket`,
          options,
        )
      case 403:
        return new StoreUnreachableError(
          'SLUICE_S3_BUCKET',
          bucket,
          `${endpoint} refuses the AWS credentials for it`,
          options,
        )
      case 301:
      case 400:
        return new StoreUnreachableError(
          'SLUICE_S3_REGION',
          region,
          `${endpoint} keeps the bucket in another region`,
          options,
        )
      default:
        return new StoreUnreachableError(
          'SLUICE_S3_ENDPOINT',
          endpoint,
          `no answer from it (${describe(error)})`,
          options,
        )
    }
  }
}

type BucketLocation = NonNullable<
  NonNullable<CreateBucketCommand['input']['CreateBucketConfiguration']>['LocationConstraint']
>

function newClient(settings: S3Settings, endpoint: string): S3Client {
  return new S3Client({
    endpoint,
    region: settings.region,
    forcePathStyle: settings.forcePathStyle,
    // The default (CRC32 on every request) would put the checksum of an empty body into signed PUTs, and few
    // servers besides Amazon's know all kinds of checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      httpAgent: { maxSockets: CONNECTIONS_MAX },
      httpsAgent: { maxSockets: CONNECTIONS_MAX },
    },
  })
}

function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
