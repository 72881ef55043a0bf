import type { Request } from 'express'
import { RawReply, writeInSlices, writePieces } from './reply.ts'

/** Whether a report is asked for as CSV: by `format`, else by what Accept prefers. */
export function wantsCsv(request: Request, format: 'json' | 'csv' | undefined): boolean {
  if (format !== undefined) return format === 'csv'
  return request.accepts(['application/json', 'text/csv']) === 'text/csv'
}

/** Lines of fields, a header first, as a file of that name. */
export function csvReply(name: string, lines: readonly (readonly (string | number)[])[]): RawReply {
  return new RawReply(async (response) => {
    response.vary('Accept').attachment(name).type('text/csv')
    await writeInSlices(response, lines, csvLine)
    response.end()
  })
}

/** As `csvReply`, of lines that are written out already (`csvLine`). */
export function csvPiecesReply(name: string, pieces: readonly Buffer[]): RawReply {
  return new RawReply(async (response) => {
    response.vary('Accept').attachment(name).type('text/csv')
    await writePieces(response, pieces)
    response.end()
  })
}

/** The fields of a line, and its end. */
export function csvLine(fields: readonly (string | number)[]): string {
  return `${fields.map(csvField).join(',')}\r\n`
}

/**
 * RFC 4180. Text that a spreadsheet would run as a formula gets an apostrophe; a negative number does not.
 */
function csvField(value: string | number): string {
  if (typeof value === 'number' || /^-?\d+(\.\d+)?$/.test(value)) return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
