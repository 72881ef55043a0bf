import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { LINE_CHARS_MAX, readJsonLines, readTextLines } from './lines.ts'

async function linesOf(read: typeof readTextLines, pieces: readonly (string | Buffer)[]): Promise<string[]> {
  const stream = new PassThrough()
  const lines: string[] = []
  read(stream, (line) => lines.push(line))
  for (const piece of pieces) stream.write(piece)
  const ended = new Promise((resolve) => stream.once('end', resolve))
  stream.end()
  await ended
  return lines
}
const jsonLines: typeof readTextLines = (stream, onLine) => readJsonLines(stream, onLine, () => {})

test('lines are the same however they are cut into pieces', async () => {
  const text = 'eins\r\nzwei\rdrei é\u2028\n\nvier'
  const bytes = Buffer.from(text)
  for (let at = 0; at <= bytes.length; at += 1) {
    const pieces = [bytes.subarray(0, at), bytes.subarray(at)]
    expect(await linesOf(readTextLines, pieces)).toEqual(['eins', 'zwei', 'drei é\u2028', '', 'vier'])
    expect(await linesOf(jsonLines, pieces)).toEqual(['eins\r', 'zwei\rdrei é\u2028', 'vier'])
  }
})

test.each([
  ['text', readTextLines],
  ['JSON', jsonLines],
])(
  'a line of %s that does not end is cut off and given out at once, and the next one is whole again',
  async (_kind, read) => {
    const piece = 'x'.repeat(60_000)
    const lines = await linesOf(read, [...Array<string>(60).fill(piece), 'x\nnext\n', piece, '\nlast'])
    expect(lines.map((line) => line.length)).toEqual([LINE_CHARS_MAX, 4, 60_000, 4])
    expect(lines.slice(1, 2)).toEqual(['next'])
  },
)
