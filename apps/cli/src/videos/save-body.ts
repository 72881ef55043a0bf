import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { brokenCall, reasonOf } from '../connection/http-client.ts'

/** A download in which no byte moves for so long is broken off. */
const SILENCE_MS_MAX = 30_000

/**
 * Writes the body of an answer to `path`, which appears whole or not at all, and returns its size in bytes.
 * Throws ApiError when the body breaks off, and what the disk says when it cannot be written.
 */
export async function saveBody(response: Response, path: string): Promise<number> {
  const part = `${path}.part-${process.pid}`
  try {
    if (response.body === null) throw new Error('the download has no body')
    await writePart(response.body as ReadableStream, part)
    const { size } = await stat(part)
    const announced = response.headers.get('content-length')
    if (announced !== null && Number(announced) !== size) {
      throw brokenCall(`the download has ${size} bytes, ${announced} were announced`)
    }
    await rename(part, path)
    return size
  } finally {
    await rm(part, { force: true })
  }
}

async function writePart(body: ReadableStream, part: string): Promise<void> {
  const bytes = Readable.fromWeb(body)
  const silence = setTimeout(
    () => bytes.destroy(new Error(`no byte for ${SILENCE_MS_MAX / 1_000} s`)),
    SILENCE_MS_MAX,
  )
  const heard = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      silence.refresh()
      yield chunk
    }
  }
  await pipeline(bytes, heard, createWriteStream(part))
    .catch((error: NodeJS.ErrnoException) => {
      // A full or read-only disk stays so; a broken connection is worth another try.
      if (error.syscall === 'write' || error.syscall === 'open') throw error
      throw brokenCall(`the download broke off (${reasonOf(error)})`, error)
    })
    .finally(() => clearTimeout(silence))
}
