import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A log holds this much at most, and its predecessor (`.old`) as much again. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

export interface LogFile {
  write(line: string): void
  close(): void
}

/** Appends lines to a file of mode 0600, which is moved to `<path>.old` whenever it has grown too large. */
export function openLogFile(path: string, bytesMax: number = LOG_BYTES_MAX): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  let file = openSync(path, 'a', 0o600)
  let closed = false
  const startOver = () => {
    renameSync(path, `${path}.old`)
    const full = file
    file = openSync(path, 'a', 0o600)
    closeSync(full)
    bytes = 0
  }
  return {
    write(line) {
      if (closed) return
      try {
        if (bytes > bytesMax) startOver()
        bytes += writeSync(file, `${line}\n`)
      } catch {
        // A full disk must not stop the service for its logs' sake.
      }
    },
    close() {
      if (!closed) closeSync(file)
      closed = true
    },
  }
}
