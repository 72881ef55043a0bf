import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A log grows to this size at most; its predecessor (`.old`) is kept beside it. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

export interface LogFile {
  write(line: string): void
  close(): void
}

/** Appends lines to a file of mode 0600, which is renamed to `<path>.old` whenever it has grown too large. */
export function openLogFile(path: string, bytesMax: number = LOG_BYTES_MAX): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  let file = openSync(path, 'a', 0o600)
  let isClosed = false
  const startOver = () => {
    renameSync(path, `${path}.old`)
    const full = file
    file = openSync(path, 'a', 0o600)
    closeSync(full)
    bytes = 0
  }
  return {
    write(line) {
      if (isClosed) return
      try {
        if (bytes > bytesMax) startOver()
        bytes += writeSync(file, `${line}\n`)
      } catch {
        // A full disk must not stop the service because of its logs.
      }
    },
    close() {
      if (!isClosed) closeSync(file)
      isClosed = true
    },
  }
}
