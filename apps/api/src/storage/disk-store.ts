import { randomUUID } from 'node:crypto'
import { createReadStream, type Dirent } from 'node:fs'
import { type FileHandle, mkdir, open, opendir, readdir, rename, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { Readable } from 'node:stream'
import { checkContentType, contentTypeOf } from './content-type.ts'
import { type SignedUrl, signUrl } from './disk-signature.ts'
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
  StoreUnreachableError,
} from './object-store.ts'

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
/** A file that has not been written to for so long belongs to a process that died. */
const UNFINISHED_MS_MAX = 3_600_000
const SECRET_LENGTH_MIN = 32
/** A delete may remove a folder between its making and the rename into it; then both are repeated. */
const RENAME_TRIES_MAX = 10

/**
 * Opens the folder, makes it when it is missing, and removes files that processes which died left unfinished.
 * Throws StoreUnreachableError when it cannot be written or the secret is too short.
 */
export async function openDiskStore(settings: DiskSettings): Promise<DiskStore> {
  if (settings.secret.length < SECRET_LENGTH_MIN) {
    throw new StoreUnreachableError(
      'the disk store secret',
      '(hidden)',
      `it has less than ${SECRET_LENGTH_MIN} characters`,
    )
  }
  const store = new DiskStore(settings)
  await store.ping()
  await store.removeUnfinished()
  return store
}

/** Stores objects as files in one folder of this machine. What each call does stands at ObjectStore. */
export class DiskStore implements ObjectStore {
  readonly #dir: string
  readonly #unfinishedDir: string
  readonly #baseUrl: string
  readonly #publicBaseUrl: string
  /** For the routes, which check the URLs that this store signed. */
  readonly secret: string

  constructor(settings: DiskSettings) {
    this.#dir = resolve(settings.dir)
    this.#unfinishedDir = join(this.#dir, UNFINISHED_FOLDER)
    this.#baseUrl = settings.baseUrl.replace(/\/+$/, '')
    this.#publicBaseUrl = (settings.publicBaseUrl ?? settings.baseUrl).replace(/\/+$/, '')
    this.secret = settings.secret
  }

  async put(key: string, body: Buffer | Readable, contentType: string): Promise<ObjectInfo> {
    try {
      return await this.putAtMost(key, body, contentType, PUT_BYTES_MAX)
    } catch (error) {
      if (body instanceof Readable) body.destroy()
      throw error
    }
  }

  /**
   * Like `put`, but throws ObjectTooLargeError once the body has more than `bytesMax` bytes. The body is then
   * left open, since an HTTP request must stay open until it is answered.
   */
  async putAtMost(
    key: string,
    body: Buffer | Readable,
    contentType: string,
    bytesMax: number,
  ): Promise<ObjectInfo> {
    deferError(body)
    checkKey(key)
    checkContentType(key, contentType)
    const unfinishedPath = join(this.#unfinishedDir, randomUUID())
    await mkdir(this.#unfinishedDir, { recursive: true })
    const handle = await open(unfinishedPath, 'wx', 0o600)
    try {
      let info: ObjectInfo
      try {
        await write(handle, key, body, bytesMax)
        // Before the rename, so that a power cut never leaves a key with half an object.
        await handle.sync()
        info = await infoOf(handle, key)
      } finally {
        await handle.close()
      }
      await this.#moveInto(unfinishedPath, key)
      return info
    } catch (error) {
      await unlink(unfinishedPath).catch(ignoreAbsent)
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
      await handle.close()
      throw new RangeUnsatisfiableError(key, range, info.bytes)
    }
    if (info.bytes === 0) await handle.close()
    // By the handle, not the path: these are the bytes of this size and etag, even if the object is replaced.
    const body = info.bytes === 0 ? Readable.from([]) : createReadStream('', { fd: handle, start, end })
    return {
      body,
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
    await opened.handle.close()
    return opened.info
  }

  async readText(key: string, bytesMax: number): Promise<string | null> {
    checkKey(key)
    const opened = await this.#open(key)
    if (opened === null) return null
    try {
      if (opened.info.bytes > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
      return await opened.handle.readFile('utf8')
    } finally {
      await opened.handle.close()
    }
  }

  async deletePrefix(prefix: string): Promise<number> {
    return deleteFolder(this.#pathOf(folderOf(prefix)))
  }

  async ping(): Promise<void> {
    const path = join(this.#unfinishedDir, randomUUID())
    try {
      await mkdir(this.#unfinishedDir, { recursive: true })
      // Only a write finds out that a disk is full or read-only.
      const handle = await open(path, 'wx', 0o600)
      try {
        await handle.write('ping')
      } finally {
        await handle.close()
        await unlink(path)
      }
    } catch (error) {
      throw new StoreUnreachableError('SLUICE_DATA_DIR', this.#dir, 'objects cannot be written there', {
        cause: error,
      })
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

  async close(): Promise<void> {}

  /** Removes files of processes that died, an hour after the last write. */
  async removeUnfinished(): Promise<void> {
    for (const name of await readdir(this.#unfinishedDir)) {
      const path = join(this.#unfinishedDir, name)
      const found = await stat(path).catch(ignoreAbsent)
      if (found !== null && Date.now() - found.mtimeMs > UNFINISHED_MS_MAX)
        await unlink(path).catch(ignoreAbsent)
    }
  }

  #sign(grant: SignedUrl, expiresInSeconds: number, baseUrl: string): string {
    checkExpiry(expiresInSeconds)
    return `${baseUrl}${signUrl(grant, Math.floor(Date.now() / 1000) + expiresInSeconds, this.secret)}`
  }

  async #open(key: string): Promise<{ handle: FileHandle; info: ObjectInfo } | null> {
    const handle = await open(this.#pathOf(key), 'r').catch(ignoreAbsent)
    if (handle === null) return null
    try {
      if ((await handle.stat()).isFile()) return { handle, info: await infoOf(handle, key) }
    } catch (error) {
      await handle.close()
      throw error
    }
    await handle.close()
    return null
  }

  /** Checks again what checkKey rules out, because a delete outside the folder could not be undone. */
  #pathOf(key: string): string {
    const path = resolve(this.#dir, key)
    if (path.startsWith(`${this.#dir}${sep}`)) return path
    throw new StoreArgumentError('key', key, `a path inside ${this.#dir}`)
  }

  async #moveInto(unfinishedPath: string, key: string): Promise<void> {
    const path = this.#pathOf(key)
    for (let tries = 1; ; tries += 1) {
      try {
        await mkdir(dirname(path), { recursive: true })
        await rename(unfinishedPath, path)
        break
      } catch (error) {
        if (codeOf(error) === 'EISDIR' || codeOf(error) === 'ENOTDIR' || codeOf(error) === 'EEXIST') {
          throw new StoreArgumentError(
            'key',
            key,
            'a key that is not the folder of another key, nor lies in an object',
          )
        }
        if (codeOf(error) !== 'ENOENT' || tries === RENAME_TRIES_MAX) throw error
      }
    }
    await syncFolder(dirname(path))
  }
}

async function write(
  handle: FileHandle,
  key: string,
  body: Buffer | Readable,
  bytesMax: number,
): Promise<void> {
  if (Buffer.isBuffer(body)) {
    if (body.length > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
    return handle.writeFile(body)
  }
  let bytes = 0
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    const piece: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
    bytes += piece.length
    if (bytes > bytesMax) throw new ObjectTooLargeError(key, bytesMax)
    await handle.appendFile(piece)
  }
}

async function infoOf(handle: FileHandle, key: string): Promise<ObjectInfo> {
  const { size, mtimeNs, ino } = await handle.stat({ bigint: true })
  // An overwrite is a new file, so its inode or its time differs even when its size does not.
  const etag = `"${ino.toString(36)}-${mtimeNs.toString(36)}-${size.toString(36)}"`
  return { bytes: Number(size), contentType: contentTypeOf(key), etag }
}

/** Deletes a folder's files, then its empty folders. Other processes may write to it at the same time. */
async function deleteFolder(path: string): Promise<number> {
  const folder = await opendir(path).catch(ignoreAbsent)
  if (folder === null) return 0
  let deleted = 0
  const subfolders: Dirent[] = []
  for await (const entry of folder) {
    if (entry.isDirectory()) subfolders.push(entry)
    else if ((await unlink(join(path, entry.name)).catch(ignoreAbsent)) !== null) deleted += 1
  }
  for (const subfolder of subfolders) deleted += await deleteFolder(join(path, subfolder.name))
  await rmdir(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOTEMPTY') ignoreAbsent(error)
  })
  return deleted
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

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

/** Null for a path that does not exist. ENOTDIR: a segment of it is an object, so nothing can be below. */
function ignoreAbsent(error: unknown): null {
  if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null
  throw error
}
