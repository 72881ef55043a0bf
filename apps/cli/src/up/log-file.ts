import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A log grows to this size at most; its predecessor (`.old`) is kept beside it. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

export interface LogFile {
  write(line: string): void
  close(): void
}

/**
 * Appends lines to a file of mode 0600, which is renamed to `<path>.old` whenever it has grown too large.
 * Nothing throws: a full or missing disk costs the lines of that time, never the service.
 */
export function openLogFile(path: string, bytesMax: number = LOG_BYTES_MAX): LogFile {
  let file: number | null = null
  let bytes = 0
  let isClosed = false
  const open = (): number => {
    // Only the folder of the logs: a data dir that is gone is not for us to make.
    if (!existsSync(dirname(path))) mkdirSync(dirname(path), { mode: 0o700 })
    const opened = openSync(path, 'a', 0o600)
    bytes = fstatSync(opened).size
    return opened
  }
  const close = () => {
    const closing = file
    file = null
    if (closing !== null) closeSync(closing)
  }
  const closeQuietly = () => {
    try {
      close()
    } catch {
      // What a disk says when a file is closed comes too late to matter.
    }
  }
  return {
    write(line) {
      if (isClosed) return
      try {
        file ??= open()
        if (bytes > bytesMax) {
          close()
          renameSync(path, `${path}.old`)
          file = open()
        }
        bytes += writeSync(file, `${line}\n`)
      } catch {
        // Opened anew with the next line: the folder may have been replaced.
        closeQuietly()
      }
    },
    close() {
      isClosed = true
      closeQuietly()
    },
  }
}
