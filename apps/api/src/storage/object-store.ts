import type { Readable } from 'node:stream'

/**
 * Where the bytes lie: videos, stills, inputs, checkpoints, results. Two stores speak this interface (S3 and disk) and one contract
 * test holds both to it.
 *
 * A key is `[A-Za-z0-9._-]` segments joined by `/`; no segment is empty, `.` or `..`. A key is never also the folder of another key.
 * A key's content type follows from its extension (`content-type.ts`), so a store may keep it without a place to write it down.
 * An object is whole or absent: a reader never sees half of one, an overwrite replaces it in one step.
 */
export interface ObjectStore {
  /**
   * Stores the whole body under `key`, replacing what lay there. A stream is never held in memory as a whole.
   * Throws StoreArgumentError (key, contentType), and whatever error the body stream ends with; then nothing is stored.
   */
  put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo>

  /**
   * Opens the object, or the part of it that `range` names; null when absent. The caller reads `body` to its end or destroys it.
   * Throws RangeUnsatisfiableError when the range starts at or behind the object's end.
   */
  get(key: string, range?: ByteRange): Promise<OpenObject | null>

  /** What is known of the object without reading it; null when absent. */
  head(key: string): Promise<ObjectInfo | null>

  /** The object as UTF-8 text; null when absent. Throws ObjectTooLargeError when it holds more than `bytesMax` bytes. */
  readText(key: string, bytesMax: number): Promise<string | null>

  /**
   * Deletes every object in the folder `prefix` (`videos/a` and `videos/a/` both mean `videos/a/...`, never `videos/ab`).
   * Answers how many it deleted; 0 when there were none.
   */
  deletePrefix(prefix: string): Promise<number>

  /** Returns when the store answers and may be used; throws StoreUnreachableError, which names the setting to look at. */
  ping(): Promise<void>

  /**
   * A URL for one worker to PUT exactly this key with exactly this Content-Type, and no other header, until it expires.
   * Throws StoreArgumentError.
   */
  signPut(key: string, options: SignPutOptions): Promise<string>

  /** A URL to GET exactly this key (Range included) until it expires; it is made whether or not the object exists. Throws StoreArgumentError. */
  signGet(key: string, options: SignGetOptions): Promise<string>

  /** Closes the store's connections; nothing may be called afterwards. */
  close(): Promise<void>
}

/** First and last byte, both included, counted from 0 (as in HTTP). An `end` behind the object's last byte means the last byte. */
export interface ByteRange {
  start: number
  end: number
}

export interface ObjectInfo {
  bytes: number
  contentType: string
  /** Quoted, as in the HTTP header; another value whenever the object was replaced by other bytes. */
  etag: string
}

export interface OpenObject {
  body: Readable
  /** Bytes in `body`. */
  bytes: number
  /** Bytes in the whole object. */
  totalBytes: number
  contentType: string
  etag: string
}

export interface SignPutOptions {
  contentType: string
  expiresInSeconds: number
  /** The disk store refuses a longer body (413). S3 has no such bound in a presigned PUT. Default and most: 5 GiB, S3's own bound. */
  bytesMax?: number
}

export interface SignGetOptions {
  expiresInSeconds: number
  /** Whose network the URL must work from: the GPU hosts', or the customers'. */
  audience: 'worker' | 'client'
  /** When set, a browser saves the file under this name (`[A-Za-z0-9._-]`, at most 128 characters). */
  downloadName?: string
}

/** Bytes of the longest object one PUT may make: S3's own bound. */
export const PUT_BYTES_MAX = 5 * 1024 ** 3
/** Seconds the longest signed URL may live: S3's own bound (7 days). */
export const EXPIRES_SECONDS_MAX = 7 * 24 * 3600
/** Bytes of the longest key: S3's own bound; one segment must fit a file name. */
const KEY_BYTES_MAX = 1024
const SEGMENT_BYTES_MAX = 200

/** An argument no store takes: `field` is at fault, `given` is what came, `allowed` says what may come. */
export class StoreArgumentError extends Error {
  override readonly name = 'StoreArgumentError'
  readonly field:
    | 'key'
    | 'prefix'
    | 'contentType'
    | 'expiresInSeconds'
    | 'bytesMax'
    | 'downloadName'
    | 'range'
  readonly given: string
  readonly allowed: string
  constructor(field: StoreArgumentError['field'], given: string, allowed: string) {
    super(`${field} is ${JSON.stringify(given.slice(0, 200))}, allowed is ${allowed}`)
    this.field = field
    this.given = given
    this.allowed = allowed
  }
}

/** The range starts at or behind the end of an object of `totalBytes` (HTTP 416). */
export class RangeUnsatisfiableError extends Error {
  override readonly name = 'RangeUnsatisfiableError'
  readonly totalBytes: number
  constructor(key: string, range: ByteRange, totalBytes: number) {
    super(`range ${range.start}-${range.end} of ${key} is outside its ${totalBytes} bytes`)
    this.totalBytes = totalBytes
  }
}

/** The object, or the body that would become it, holds more than `bytesMax` bytes (HTTP 413). */
export class ObjectTooLargeError extends Error {
  override readonly name = 'ObjectTooLargeError'
  readonly bytesMax: number
  constructor(key: string, bytesMax: number) {
    super(`${key} holds more than the ${bytesMax} bytes allowed`)
    this.bytesMax = bytesMax
  }
}

/** The store does not answer, or may not be used; `setting` is the operator's setting to look at, `given` its value. */
export class StoreUnreachableError extends Error {
  override readonly name = 'StoreUnreachableError'
  readonly setting: string
  readonly given: string
  constructor(setting: string, given: string, reason: string, options?: { cause: unknown }) {
    super(`${setting} is ${JSON.stringify(given)}: ${reason}`, options)
    this.setting = setting
    this.given = given
  }
}

const SEGMENT = /^[A-Za-z0-9._-]+$/

function isPath(path: string): boolean {
  return (
    path.length <= KEY_BYTES_MAX &&
    path
      .split('/')
      .every(
        (segment) =>
          SEGMENT.test(segment) && segment.length <= SEGMENT_BYTES_MAX && segment !== '.' && segment !== '..',
      )
  )
}

const PATH_RULE = `segments of A-Z a-z 0-9 . _ - joined by single slashes, none of them "." or "..", each at most ${SEGMENT_BYTES_MAX} characters`

/** Throws StoreArgumentError unless `key` is a key. */
export function checkKey(key: string): void {
  if (!isPath(key)) throw new StoreArgumentError('key', key, PATH_RULE)
}

/** The folder `prefix` names, with its one trailing slash. Throws StoreArgumentError; the empty prefix (everything) is refused too. */
export function folderOf(prefix: string): string {
  const folder = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  if (!isPath(folder)) throw new StoreArgumentError('prefix', prefix, PATH_RULE)
  return `${folder}/`
}

/** Throws StoreArgumentError unless both ends are whole numbers and 0 <= start <= end. */
export function checkRange(range: ByteRange): void {
  const whole = Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end)
  if (whole && range.start >= 0 && range.start <= range.end) return
  throw new StoreArgumentError('range', `${range.start}-${range.end}`, 'whole numbers, 0 <= start <= end')
}

/** Throws StoreArgumentError unless a URL may live that long. */
export function checkExpiry(expiresInSeconds: number): void {
  if (
    Number.isSafeInteger(expiresInSeconds) &&
    expiresInSeconds >= 1 &&
    expiresInSeconds <= EXPIRES_SECONDS_MAX
  )
    return
  throw new StoreArgumentError(
    'expiresInSeconds',
    String(expiresInSeconds),
    `a whole number from 1 to ${EXPIRES_SECONDS_MAX}`,
  )
}

/** The bound of a signed PUT in bytes. Throws StoreArgumentError. */
export function judgeBytesMax(bytesMax: number = PUT_BYTES_MAX): number {
  if (Number.isSafeInteger(bytesMax) && bytesMax >= 0 && bytesMax <= PUT_BYTES_MAX) return bytesMax
  throw new StoreArgumentError('bytesMax', String(bytesMax), `a whole number from 0 to ${PUT_BYTES_MAX}`)
}

/** A stream may fail before anyone reads it; without a listener that would end the process. Who reads it later gets the error. */
export function holdError(body: Buffer | Readable): void {
  if (!Buffer.isBuffer(body)) body.on('error', () => {})
}

/** The Content-Disposition header that saves a download as `downloadName`. Throws StoreArgumentError. */
export function attachment(downloadName: string): string {
  if (SEGMENT.test(downloadName) && downloadName.length <= 128)
    return `attachment; filename="${downloadName}"`
  throw new StoreArgumentError('downloadName', downloadName, '1 to 128 of A-Z a-z 0-9 . _ -')
}
