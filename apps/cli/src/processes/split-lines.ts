import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** Calls `onLine` for each line a child writes; the stream is drained to its end whatever happens. */
export function splitLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine)
  stream.on('error', () => {})
}
