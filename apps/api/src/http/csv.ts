import type { Request, Response } from 'express'

/** Whether a report is asked for as CSV: by `format`, else by what Accept prefers. */
export function wantsCsv(request: Request, format: 'json' | 'csv' | undefined): boolean {
  return (
    (format ?? (request.accepts(['application/json', 'text/csv']) === 'text/csv' ? 'csv' : 'json')) === 'csv'
  )
}

/** Sends lines of fields, a header first, as a file of that name. */
export function sendCsv(
  response: Response,
  name: string,
  lines: readonly (readonly (string | number)[])[],
): void {
  response
    .attachment(name)
    .type('text/csv')
    .send(lines.map((line) => `${line.map(csvField).join(',')}\r\n`).join(''))
}

/** RFC 4180. Text that a spreadsheet would run as a formula begins with an apostrophe; a number below zero is none. */
function csvField(value: string | number): string {
  if (typeof value === 'number' || /^-?\d+(\.\d+)?$/.test(value)) return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
