import type { Readable } from 'node:stream'

/**
 * Stores the files: videos, stills, inputs, checkpoints, results. S3 and disk implement this interface, and
 * one contract test checks both. Every call ends within the limits of group `store` in TIME_LIMITS, and
 * throws StoreUnavailableError when the store is away, silent or full: never is that taken for an absent
 * object.
 *
 * A key is segments of `[A-Za-z0-9._-]` joined by `/`; no segment is empty, `.` or `..`. A key is never also
 * the folder of another key. Its extension decides the content type (`content-type.ts`), so a store need not
 * record it.
 *
 * An object is whole or absent: a reader never sees half of one, and an overwrite replaces it in one step.
 */
export interface ObjectStore {
  /**
   * Stores the whole body under `key`, in place of what was there. A stream is never in memory as a whole.
   * Throws StoreArgumentError (key, contentType), or the error of the body stream; then nothing is stored.
   */
  put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo>

  /**
   * Opens the object, or the part in `range`; null when absent. The caller reads `body` to its end or
   * destroys it. Throws RangeUnsatisfiableError when the range starts at or after the object's end.
   */
  get(key: string, range?: ByteRange): Promise<OpenObject | null>

  /** Size, content type and etag of the object; null when absent. */
  head(key: string): Promise<ObjectInfo | null>

  /** The object as UTF-8 text; null when absent. Throws ObjectTooLargeError beyond `bytesMax` bytes. */
  readText(key: string, bytesMax: number): Promise<string | null>

  /**
   * Deletes every object in the folder `prefix` (`videos/a` and `videos/a/` both mean `videos/a/...`, never
   * `videos/ab`), but those in `keep`. Lists what is there, so that nothing need be remembered. Returns how
   * many it deleted.
   */
  deletePrefix(prefix: string, keep?: ReadonlySet<string>): Promise<number>

  /**
   * Makes `to` the same bytes as `from`, without moving them through this process; null when `from` is
   * absent. What is put at `from` afterwards does not change `to`.
   */
  copy(from: string, to: string): Promise<ObjectInfo | null>

  /** Checks that the store can be used. Throws StoreUnreachableError, which names the setting to look at. */
  ping(): Promise<void>

  /**
   * A URL with which a worker can PUT exactly this key with exactly this Content-Type, and no other header,
   * until it expires. Throws StoreArgumentError.
   */
  signPut(key: string, options: SignPutOptions): Promise<string>

  /** A URL to GET exactly this key until it expires; the object need not exist. Throws StoreArgumentError. */
  signGet(key: string, options: SignGetOptions): Promise<string>

  /**
   * Milliseconds by which the store's clock was ahead of this process's when it last answered; null when the
   * store has no clock of its own. Signed URLs are dated by the store's clock.
   */
  clockAheadMs(): number | null

  /** Closes the store's connections. It cannot be used afterwards. */
  close(): Promise<void>
}

/** First and last byte, both included, counted from 0. An `end` after the last byte means the last byte. */
export interface ByteRange {
  start: number
  end: number
}

export interface ObjectInfo {
  bytes: number
  contentType: string
  /** Quoted, as in the HTTP header. It changes whenever other bytes replace the object. */
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
  /** The disk store refuses a longer body (413); S3 cannot. The default and maximum is PUT_BYTES_MAX. */
  bytesMax?: number
}

export interface SignGetOptions {
  expiresInSeconds: number
  /** From whose network the URL must work: the GPU hosts' or the customers'. */
  audience: 'worker' | 'client'
  /** The name under which a browser saves the file (`[A-Za-z0-9._-]`, at most 128 characters). */
  downloadName?: string
}

/** Size limit of one PUT: 5 GiB, which is S3's own. */
export const PUT_BYTES_MAX = 5 * 1024 ** 3
/** How long a signed URL may be valid: 7 days, which is S3's own limit. */
const EXPIRES_SECONDS_MAX = 7 * 24 * 3600
/** Size limit of a key, which is S3's own. */
const KEY_BYTES_MAX = 1024
/** Size limit of a segment: it must fit a file name. */
const SEGMENT_BYTES_MAX = 200

/** An argument that no store accepts: names the field, what was given and what is allowed. */
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

/** The range starts at or after the end of an object of `totalBytes` (HTTP 416). */
export class RangeUnsatisfiableError extends Error {
  override readonly name = 'RangeUnsatisfiableError'
  readonly totalBytes: number
  constructor(key: string, range: ByteRange, totalBytes: number) {
    super(`range ${range.start}-${range.end} of ${key} is outside its ${totalBytes} bytes`)
    this.totalBytes = totalBytes
  }
}

/** The object, or the body that would become it, has more than `bytesMax` bytes (HTTP 413). */
export class ObjectTooLargeError extends Error {
  override readonly name = 'ObjectTooLargeError'
  readonly bytesMax: number
  constructor(key: string, bytesMax: number) {
    super(`${key} holds more than the ${bytesMax} bytes allowed`)
    this.bytesMax = bytesMax
  }
}

/** The store cannot be used. `setting` is the operator's setting to look at, `given` its value. */
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

/**
 * A call found the store away, silent or full. The same call may succeed later (HTTP 503, or 507 when full);
 * whether the object is there is not known.
 */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError'
  readonly reason: 'away' | 'full'
  constructor(reason: StoreUnavailableError['reason'], message: string, options?: { cause: unknown }) {
    super(message, options)
    this.reason = reason
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

const PATH_RULE =
  'segments of A-Z a-z 0-9 . _ - joined by single slashes, none of them "." or "..", ' +
  `each at most ${SEGMENT_BYTES_MAX} characters`

/** Throws StoreArgumentError unless `key` is a key. */
export function checkKey(key: string): void {
  if (!isPath(key)) throw new StoreArgumentError('key', key, PATH_RULE)
}

/** The folder `prefix` with one trailing slash. Throws StoreArgumentError, also for the empty prefix. */
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

/** Throws StoreArgumentError unless a URL may be valid for so long. */
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

/** The size limit of a signed PUT, by default the largest. Throws StoreArgumentError. */
export function checkBytesMax(bytesMax: number = PUT_BYTES_MAX): number {
  if (Number.isSafeInteger(bytesMax) && bytesMax >= 0 && bytesMax <= PUT_BYTES_MAX) return bytesMax
  throw new StoreArgumentError('bytesMax', String(bytesMax), `a whole number from 0 to ${PUT_BYTES_MAX}`)
}

/**
 * Keeps the process alive when a stream fails before it is read: an error without a listener would end it.
 * Whoever reads the stream later still gets the error.
 */
export function deferError(body: Buffer | Readable): void {
  if (!Buffer.isBuffer(body)) body.on('error', () => {})
}

/** The Content-Disposition header that saves a download as `downloadName`. Throws StoreArgumentError. */
export function attachment(downloadName: string): string {
  if (SEGMENT.test(downloadName) && downloadName.length <= 128)
    return `attachment; filename="${downloadName}"`
  throw new StoreArgumentError('downloadName', downloadName, '1 to 128 of A-Z a-z 0-9 . _ -')
}
