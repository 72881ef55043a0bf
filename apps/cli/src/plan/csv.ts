/** A line of a CSV file that holds something: its number in the file, from 1, and its cells. */
export interface CsvLine {
  line: number
  cells: readonly string[]
}

/**
 * The lines of a CSV file (RFC 4180): cells between commas, in quotes where they hold a comma, a quote or a
 * line break. Empty lines count and are left out. Throws SyntaxError for a quote that is never closed.
 */
export function* csvLines(text: string): Generator<CsvLine> {
  let at = text.startsWith('\uFEFF') ? 1 : 0
  for (let line = 1; at < text.length; line += 1) {
    const end = endOfLine(text, at)
    const plain = text.slice(at, text[end - 1] === '\r' ? end - 1 : end)
    if (!plain.includes('"')) {
      at = end + 1
      if (plain.trim() !== '') yield { line, cells: plain.split(',') }
      continue
    }
    const quoted = readQuoted(text, at, line)
    yield { line, cells: quoted.cells }
    line += quoted.breaks
    at = quoted.next
  }
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

/** The cells of a line with quotes, how many line breaks they hold, and where the next line begins. */
function readQuoted(
  text: string,
  from: number,
  line: number,
): { cells: string[]; breaks: number; next: number } {
  const cells: string[] = []
  let breaks = 0
  for (let at = from; ; at += 1) {
    const cell = readCell(text, at, line)
    cells.push(cell.text)
    breaks += cell.text.split('\n').length - 1
    at = cell.next
    if (text[at] !== ',') return { cells, breaks, next: at + 1 }
  }
}

/** A cell and where it ends: at a comma, a line break or the end of the text. */
function readCell(text: string, from: number, line: number): { text: string; next: number } {
  if (text[from] !== '"') {
    const found = /[,\r\n]/g
    found.lastIndex = from
    const end = found.exec(text)?.index ?? text.length
    return { text: text.slice(from, end), next: text[end] === '\r' ? end + 1 : end }
  }
  let value = ''
  for (let at = from + 1; ; ) {
    const quote = text.indexOf('"', at)
    if (quote < 0) throw new SyntaxError(`line ${line}: a quote is never closed`)
    value += text.slice(at, quote)
    if (text[quote + 1] !== '"') {
      const next = text[quote + 1] === '\r' ? quote + 2 : quote + 1
      return { text: value, next }
    }
    value += '"'
    at = quote + 2
  }
}
