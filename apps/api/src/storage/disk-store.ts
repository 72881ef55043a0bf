import { randomUUID } from 'node:crypto'
import { constants, type Dirent } from 'node:fs'
import {
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rmdir,
  stat,
  unlink,
} from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { checkContentType, contentTypeOf } from './content-type.ts'
import { type SignedUrl, signUrl } from './disk-signature.ts'
import { codeOf, DiskSteps } from './disk-steps.ts'
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
  PUT_BYTES_MAX,
  RangeUnsatisfiableError,
  type SignGetOptions,
  type SignPutOptions,
  StoreArgumentError,
  StoreUnavailableError,
  StoreUnreachableError,
} from './object-store.ts'
import { isEmptyStore, MARK_FILE, makeStoreMark, readStoreMark } from './store-mark.ts'

export interface DiskSettings {
  /** The folder of the objects: `<SLUICE_DATA_DIR>/objects`. Made when missing. */
  dir: string
  /** Where workers reach this API, without a trailing slash and without `/store`: `http://127.0.0.1:3000`. */
  baseUrl: string
  /** Where customers reach this API, when that differs: `SLUICE_PUBLIC_URL`. */
  publicBaseUrl?: string
  /** Signs URLs; at least 32 characters, the same for every process that serves this folder. */
  secret: string
}

/** No key contains `~`, so no object is in here. */
const UNFINISHED_FOLDER = '~unfinished'
/**
 * A file that has not been written to for so long belongs to a process that died: a PUT from which no byte
 * comes is given up long before.
 */
const UNFINISHED_MS_MAX = 300_000
/** How often such files are looked for. */
const TIDY_EVERY_MS = 60_000
const SECRET_LENGTH_MIN = 32
/** A delete may remove a folder between its making and the rename into it; then both are repeated. */
const RENAME_TRIES_MAX = 10
/** What a file system says that knows no second names, or has no more of them. */
const NO_LINKS = new Set(['EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'])
const READ_BYTES = 128 * 1024

export interface DiskOptions {
  /** Whether an empty folder may be a new store's; asked at the first start in it. The default is yes. */
  mayBeNew?: () => Promise<boolean>
  /** A test shortens the limit of a step on the disk. */
  limits?: { readonly diskStepMs?: number }
}

/**
 * Opens the folder, makes it when it is missing, and removes files that processes which died left unfinished.
 * Throws StoreUnreachableError when it cannot be written or the secret is too short.
 */
export async function openDiskStore(settings: DiskSettings, options: DiskOptions = {}): Promise<DiskStore> {
  if (settings.secret.length < SECRET_LENGTH_MIN) {
    throw new StoreUnreachableError(
      'the disk store secret',
      '(hidden)',
      `it has less than ${SECRET_LENGTH_MIN} characters`,
    )
  }
  const steps = new DiskSteps(options.limits?.diskStepMs ?? TIME_LIMITS.store.diskStepMs)
  const dir = resolve(settings.dir)
  try {
    const found = await steps.do(() => readStoreMark(dir))
    if (found === null && options.mayBeNew !== undefined && (await steps.do(() => isEmptyStore(dir))))
      await requireNew(dir, options.mayBeNew)
    const mark = found ?? (await steps.do(() => makeStoreMark(dir)))
    const store = new DiskStore({ ...settings, dir }, mark, steps)
    await store.ping()
    await store.removeUnfinished()
    return store
  } catch (error) {
    throw unreachable(dir, error)
  }
}

/** An empty folder may be where the store is yet to be mounted: then all files would read as lost. */
async function requireNew(dir: string, mayBeNew: () => Promise<boolean>): Promise<void> {
  if (await mayBeNew()) return
  throw new StoreUnreachableError(
    'SLUICE_DATA_DIR',
    dir,
    'it is empty, but the database knows files in it: mount it; ' +
      `when they are lost for good, make an empty file ${MARK_FILE} there`,
  )
}

/** Stores objects as files in one folder of this machine. What each call does stands at ObjectStore. */
export class DiskStore implements ObjectStore {
  readonly #dir: string
  /** Stands in a file of the folder: without it the folder is not this store, but where it was mounted. */
  readonly #mark: string
  readonly #steps: DiskSteps
  readonly #unfinishedDir: string
  readonly #baseUrl: string
  readonly #publicBaseUrl: string
  readonly #tidying: NodeJS.Timeout
  /** For the routes, which check the URLs that this store signed. */
  readonly secret: string

  constructor(settings: DiskSettings, mark: string, steps: DiskSteps) {
    this.#dir = settings.dir
    this.#mark = mark
    this.#steps = steps
    this.#unfinishedDir = join(this.#dir, UNFINISHED_FOLDER)
    this.#baseUrl = settings.baseUrl.replace(/\/+$/, '')
    this.#publicBaseUrl = (settings.publicBaseUrl ?? settings.baseUrl).replace(/\/+$/, '')
    this.secret = settings.secret
    // A disk that is away is reported by ping.
    this.#tidying = setInterval(() => {
      this.removeUnfinished().catch(() => {})
    }, TIDY_EVERY_MS).unref()
  }

  async put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo> {
    try {
      return await this.putAtMost(key, body, { contentType, bytesMax: PUT_BYTES_MAX })
    } catch (error) {
      if (body instanceof Readable) body.destroy()
      throw error
    }
  }

  /**
   * Like `put`, but throws ObjectTooLargeError once the body has more than `bytesMax` bytes. The body is then
   * left open, since an HTTP request must stay open until it is answered. `mayKeep` is asked when the body is
   * whole: what it throws is thrown, and nothing is stored.
   */
  async putAtMost(
    key: string,
    body: Buffer | Readable,
    options: { contentType: string; bytesMax: number; mayKeep?: () => Promise<void> },
  ): Promise<ObjectInfo> {
    deferError(body)
    checkKey(key)
    checkContentType(key, options.contentType)
    await this.#requireMounted()
    const unfinishedPath = join(this.#unfinishedDir, randomUUID())
    const handle = await this.#create(unfinishedPath)
    try {
      let info: ObjectInfo
      try {
        await this.#write(handle, key, body, options.bytesMax)
        // Before the rename, so that a power cut never leaves a key with half an object.
        await this.#steps.do(() => handle.sync())
        info = await this.#infoOf(handle, key)
      } finally {
        await this.#steps.close(handle)
      }
      await options.mayKeep?.()
      await this.#moveInto(unfinishedPath, key)
      return info
    } catch (error) {
      // Where even this fails, it is removed once it has grown old.
      await this.#steps.do(() => unlink(unfinishedPath)).catch(() => {})
      throw error
    }
  }

  async get(key: string, range?: ByteRange): Promise<OpenObject | null> {
    checkKey(key)
    if (range !== undefined) checkRange(range)
    const opened = await this.#open(key)
    if (opened === null) return null
    const { handle, info } = opened
    const start = range?.start ?? 0
    const end = Math.min(range?.end ?? info.bytes - 1, info.bytes - 1)
    if (range !== undefined && start >= info.bytes) {
      await this.#steps.close(handle)
      throw new RangeUnsatisfiableError(key, range, info.bytes)
    }
    return {
      // By the handle, not the path: these are the bytes of this size and etag, even if the object is
      // replaced.
      body: this.#read(handle, start, end + 1),
      bytes: end - start + 1,
      totalBytes: info.bytes,
      contentType: info.contentType,
      etag: info.etag,
    }
  }

  async head(key: string): Promise<ObjectInfo | null> {
    checkKey(key)
    const opened = await this.#open(key)
    if (opened === null) return null
    await this.#steps.close(opened.handle)
    return opened.info
  }

  async readText(key: string, bytesMax: number): Promise<string | null> {
    checkKey(key)
    const opened = await this.#open(key)
    if (opened === null) return null
    try {
      if (opened.info.bytes > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
      return await this.#steps.do(() => opened.handle.readFile('utf8'))
    } finally {
      await this.#steps.close(opened.handle)
    }
  }

  async deletePrefix(prefix: string, keep: ReadonlySet<string> = new Set()): Promise<number> {
    const kept = new Set([...keep].map((key) => this.#pathOf(key)))
    await this.#requireMounted()
    const deleted = await this.#deleteFolder(this.#pathOf(folderOf(prefix)), kept)
    // Again: a folder that went away in between seemed to have nothing left.
    await this.#requireMounted()
    return deleted
  }

  async copy(from: string, to: string): Promise<ObjectInfo | null> {
    checkKey(to)
    checkContentType(to, contentTypeOf(from))
    const path = join(this.#unfinishedDir, randomUUID())
    if ((await this.head(from)) === null) return null
    try {
      // A second name of the same bytes: a PUT gives the first name to another file.
      const isThere = await this.#steps.do(() => linkOrCopy(this.#pathOf(from), path))
      if (!isThere) return null
      await this.#moveInto(path, to)
      return await this.head(to)
    } finally {
      // When `to` was the same file already, the rename did nothing and left this name.
      await this.#steps.do(() => unlink(path)).catch(ignoreAbsent)
    }
  }

  async ping(): Promise<void> {
    try {
      await this.#requireMounted()
      await this.#tryOut()
    } catch (error) {
      throw unreachable(this.#dir, error)
    }
  }

  async signPut(key: string, options: SignPutOptions): Promise<string> {
    checkKey(key)
    checkContentType(key, options.contentType)
    const bytesMax = checkBytesMax(options.bytesMax)
    return this.#sign(
      { method: 'PUT', key, contentType: options.contentType, bytesMax },
      options.expiresInSeconds,
      this.#baseUrl,
    )
  }

  async signGet(key: string, options: SignGetOptions): Promise<string> {
    checkKey(key)
    if (options.downloadName !== undefined) attachment(options.downloadName)
    const baseUrl = options.audience === 'worker' ? this.#baseUrl : this.#publicBaseUrl
    return this.#sign(
      { method: 'GET', key, downloadName: options.downloadName ?? null },
      options.expiresInSeconds,
      baseUrl,
    )
  }

  clockAheadMs(): null {
    return null
  }

  async close(): Promise<void> {
    clearInterval(this.#tidying)
  }

  /** Removes files of processes that died, five minutes after the last write, by the disk's clock. */
  async removeUnfinished(): Promise<void> {
    const names = await this.#steps.do(() => readdir(this.#unfinishedDir)).catch(ignoreAbsent)
    if (names === null || names.length === 0) return
    const nowMs = await this.#tryOut()
    for (const name of names) {
      const path = join(this.#unfinishedDir, name)
      const found = await this.#steps.do(() => stat(path)).catch(ignoreAbsent)
      if (found !== null && nowMs - found.mtimeMs > UNFINISHED_MS_MAX)
        await this.#steps.do(() => unlink(path)).catch(ignoreAbsent)
    }
  }

  /** Writes a file: only that finds out that a disk is full or read-only. Returns when, by its clock. */
  async #tryOut(): Promise<number> {
    const path = join(this.#unfinishedDir, randomUUID())
    const handle = await this.#create(path)
    try {
      await this.#steps.do(() => handle.write('ping'))
      return (await this.#steps.do(() => handle.stat())).mtimeMs
    } finally {
      await this.#steps.close(handle)
      await this.#steps.do(() => unlink(path))
    }
  }

  #sign(grant: SignedUrl, expiresInSeconds: number, baseUrl: string): string {
    checkExpiry(expiresInSeconds)
    return `${baseUrl}${signUrl(grant, Math.floor(Date.now() / 1000) + expiresInSeconds, this.secret)}`
  }

  /** Throws StoreUnavailableError unless the folder is the one that was opened, not an empty mount point. */
  async #requireMounted(): Promise<void> {
    const mark = await this.#steps.do(() => readStoreMark(this.#dir))
    if (mark === this.#mark) return
    const found = mark === null ? 'its mark is missing' : 'it holds another store'
    throw new StoreUnavailableError('away', `${this.#dir} is not the folder that was opened: ${found}`)
  }

  /** Null when the object is absent from a folder that is there. */
  async #open(key: string): Promise<{ handle: FileHandle; info: ObjectInfo } | null> {
    const handle = await this.#steps
      .do(
        () => open(this.#pathOf(key), 'r'),
        (late) => late.close(),
      )
      .catch(ignoreAbsent)
    if (handle === null) {
      await this.#requireMounted()
      return null
    }
    try {
      const isFile = (await this.#steps.do(() => handle.stat())).isFile()
      if (isFile) return { handle, info: await this.#infoOf(handle, key) }
    } catch (error) {
      await this.#steps.close(handle)
      throw error
    }
    await this.#steps.close(handle)
    return null
  }

  async #create(unfinishedPath: string): Promise<FileHandle> {
    const create = () =>
      this.#steps.do(
        () => open(unfinishedPath, 'wx', 0o600),
        (late) => late.close().then(() => unlink(unfinishedPath)),
      )
    try {
      return await create()
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      await this.#requireMounted()
      await this.#makeFolders(this.#unfinishedDir)
      return create()
    }
  }

  async #write(handle: FileHandle, key: string, body: Buffer | Readable, bytesMax: number): Promise<void> {
    if (Buffer.isBuffer(body)) {
      if (body.length > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
      return this.#steps.do(() => handle.writeFile(body))
    }
    let bytes = 0
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      const piece: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
      bytes += piece.length
      if (bytes > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
      await this.#steps.do(() => handle.appendFile(piece))
    }
  }

  /** The bytes from `start` to before `end`. The handle is closed when they were read, or nobody reads on. */
  #read(handle: FileHandle, start: number, end: number): Readable {
    const steps = this.#steps
    let position = start
    return new Readable({
      highWaterMark: READ_BYTES,
      read() {
        const bytes = Math.min(READ_BYTES, end - position)
        if (bytes <= 0) {
          this.push(null)
          return
        }
        steps
          .do(() => handle.read(Buffer.allocUnsafe(bytes), 0, bytes, position))
          .then(
            ({ bytesRead, buffer }) => {
              position += bytesRead
              if (bytesRead > 0) this.push(buffer.subarray(0, bytesRead))
              else this.destroy(new StoreUnavailableError('away', 'the file has become shorter'))
            },
            (error: Error) => this.destroy(error),
          )
      },
      destroy(error, callback) {
        steps.close(handle).then(
          () => callback(error),
          (closing: Error) => callback(error ?? closing),
        )
      },
    })
  }

  /** Checks again what checkKey rules out, because a delete outside the folder could not be undone. */
  #pathOf(key: string): string {
    const path = resolve(this.#dir, key)
    if (path.startsWith(`${this.#dir}${sep}`)) return path
    throw new StoreArgumentError('key', key, `a path inside ${this.#dir}`)
  }

  /** As mkdir with `recursive`, but never makes the store's folder itself. */
  async #makeFolders(path: string): Promise<void> {
    let folder = this.#dir
    for (const name of relative(this.#dir, path).split(sep)) {
      folder = join(folder, name)
      const made = folder
      await this.#steps
        .do(() => mkdir(made))
        .catch((error: unknown) => {
          if (codeOf(error) !== 'EEXIST') throw error
        })
    }
  }

  async #moveInto(unfinishedPath: string, key: string): Promise<void> {
    const path = this.#pathOf(key)
    for (let tries = 1; ; tries += 1) {
      try {
        // The first time the folder may be there: most objects lie beside others.
        if (tries > 1) await this.#makeFolders(dirname(path))
        await this.#steps.do(() => rename(unfinishedPath, path))
        break
      } catch (error) {
        if (codeOf(error) === 'EISDIR' || codeOf(error) === 'ENOTDIR' || codeOf(error) === 'EEXIST') {
          throw new StoreArgumentError(
            'key',
            key,
            'a key that is not the folder of another key, nor lies in an object',
          )
        }
        if (codeOf(error) !== 'ENOENT') throw error
        await this.#requireMounted()
        if (tries === RENAME_TRIES_MAX) throw error
      }
    }
    await this.#steps.do(() => syncFolder(dirname(path)))
  }

  async #infoOf(handle: FileHandle, key: string): Promise<ObjectInfo> {
    const { size, mtimeNs, ino } = await this.#steps.do(() => handle.stat({ bigint: true }))
    // An overwrite is a new file, so its inode or its time differs even when its size does not.
    const etag = `"${ino.toString(36)}-${mtimeNs.toString(36)}-${size.toString(36)}"`
    return { bytes: Number(size), contentType: contentTypeOf(key), etag }
  }

  /**
   * Deletes a folder's files, then its empty folders. Other processes may write to it at the same time.
   */
  async #deleteFolder(path: string, kept: ReadonlySet<string>): Promise<number> {
    const readEntries = (): Promise<Dirent[]> => readdir(path, { withFileTypes: true })
    const entries = await this.#steps.do(readEntries).catch(ignoreAbsent)
    let deleted = 0
    for (const entry of entries ?? []) {
      const inside = join(path, entry.name)
      if (kept.has(inside)) continue
      if (entry.isDirectory()) deleted += await this.#deleteFolder(inside, kept)
      else if ((await this.#steps.do(() => unlink(inside)).catch(ignoreAbsent)) !== null) deleted += 1
    }
    await this.#steps
      .do(() => rmdir(path))
      .catch((error: unknown) => {
        if (codeOf(error) !== 'ENOTEMPTY') ignoreAbsent(error)
      })
    return deleted
  }
}

/** Gives the file a second name, or where the file system knows none, a copy; false when it is absent. */
async function linkOrCopy(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
  } catch (error) {
    if (!NO_LINKS.has(codeOf(error) ?? '')) return ignoreAbsent(error) !== null
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
    await syncFolder(to)
  }
  return true
}

function unreachable(dir: string, error: unknown): StoreUnreachableError {
  if (error instanceof StoreUnreachableError) return error
  const reason = error instanceof StoreUnavailableError ? `: ${error.message}` : ''
  return new StoreUnreachableError('SLUICE_DATA_DIR', dir, `objects cannot be stored there${reason}`, {
    cause: error,
  })
}

/** Makes a rename survive a power cut. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(ignoreAbsent)
  if (handle === null) return
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Null for a path that does not exist. ENOTDIR: a segment of it is an object, so nothing can be below. */
function ignoreAbsent(error: unknown): null {
  if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
  throw error
}
