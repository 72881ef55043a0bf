import type { Readable } from 'node:stream'

/**
 * Calls `onLine` for each line of `stream`, and `onEnd` when it ends or fails. Lines end with `\n` only:
 * node:readline also splits at U+2028, which may stand unescaped in JSON, for instance in a prompt.
 */
export function readJsonLines(stream: Readable, onLine: (line: string) => void, onEnd: () => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') onLine(line)
  })
  stream.on('end', () => {
    if (rest.trim() !== '') onLine(rest)
    onEnd()
  })
  stream.on('error', onEnd)
}
