import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'

/** A log holds this much at most, and its predecessor (`.old`) as much again. */
const LOG_BYTES_MAX = 16 * 1024 * 1024

export interface LogFile {
  write(line: string): void
  close(): Promise<void>
}

/** Appends lines to a file of mode 0600, which is moved to `<path>.old` whenever it has grown too large. */
export function openLogFile(path: string, bytesMax: number = LOG_BYTES_MAX): LogFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  let bytes = 0
  let stream: WriteStream
  const open = () => {
    bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
    if (bytes > bytesMax) {
      renameSync(path, `${path}.old`)
      bytes = 0
    }
    stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
    // A full disk must not stop the service for its logs' sake.
    stream.on('error', () => {})
  }
  open()
  return {
    write(line) {
      stream.write(`${line}\n`)
      bytes += line.length + 1
      if (bytes > bytesMax) {
        stream.end()
        open()
      }
    },
    close: () => new Promise((resolve) => stream.end(() => resolve())),
  }
}
