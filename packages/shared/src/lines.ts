import type { Readable } from 'node:stream'

/** No message and no line of a log is as long; whoever writes more has lost its way. */
export const LINE_CHARS_MAX = 1024 * 1024

/**
 * Cuts text that comes in pieces into lines. Of a line that is too long the first LINE_CHARS_MAX characters
 * are given out at once, and the rest is dropped: a child that never ends its line costs no memory.
 */
class LineCutter {
  readonly #end: RegExp
  #rest = ''
  #isCutOff = false

  constructor(end: RegExp) {
    this.#end = end
  }

  /** The lines that end in this piece. */
  take(piece: string): string[] {
    const lines: string[] = []
    for (const [index, part] of piece.split(this.#end).entries()) {
      if (index > 0) {
        if (!this.#isCutOff) lines.push(this.#rest)
        this.#rest = ''
        this.#isCutOff = false
      }
      if (this.#isCutOff) continue
      this.#rest += part
      if (this.#rest.length <= LINE_CHARS_MAX) continue
      lines.push(this.#rest.slice(0, LINE_CHARS_MAX))
      this.#rest = ''
      this.#isCutOff = true
    }
    return lines
  }

  /** What came after the last end of a line. */
  last(): string {
    return this.#rest
  }
}

/**
 * Calls `onLine` for each line of JSON in `stream`, and `onEnd` when it ends or fails. Lines end with `\n`
 * only: node:readline also splits at U+2028, which may stand unescaped in JSON, for instance in a prompt. A
 * line that is too long comes cut off, and so is no JSON.
 */
export function readJsonLines(stream: Readable, onLine: (line: string) => void, onEnd: () => void): void {
  const cutter = new LineCutter(/\n/)
  const say = (line: string) => {
    if (line.trim() !== '') onLine(line)
  }
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => cutter.take(chunk).forEach(say))
  stream.on('end', () => {
    say(cutter.last())
    onEnd()
  })
  stream.on('error', onEnd)
}

/**
 * Calls `onLine` for each line that a child writes for people, and reads on whatever happens. A progress bar
 * ends its lines with `\r`.
 */
export function readTextLines(stream: Readable, onLine: (line: string) => void): void {
  const cutter = new LineCutter(/\r\n|\r|\n/)
  let isAfterReturn = false
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    // An end of two characters may come in two pieces.
    const piece = isAfterReturn && chunk.startsWith('\n') ? chunk.slice(1) : chunk
    isAfterReturn = chunk.endsWith('\r')
    cutter.take(piece).forEach(onLine)
  })
  stream.on('end', () => {
    if (cutter.last() !== '') onLine(cutter.last())
  })
  stream.on('error', () => {})
}
