import { loadavg } from 'node:os'

/** The value below which `share` (0 to 1) of the samples lie. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** `median (lowest to highest)` of the values. */
export function medianAndSpread(values: readonly number[], format: (value: number) => string): string {
  const spread = `${format(Math.min(...values))} to ${format(Math.max(...values))}`
  return `${format(percentile(values, 0.5))} (${spread})`
}

export const asMs = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`
export const asRate = (value: number): string => `${value.toFixed(0)}/s`
export const asPercent = (value: number): string => `${(value * 100).toFixed(0)} %`
export const asTimes = (value: number): string => `${value.toFixed(2)} x`

/** Prints rows of cells in columns, and the load of the machine. */
export function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
  process.stdout.write(
    `${title}\n${lines.map((line) => `  ${line}\n`).join('')}  load average over 1, 5, 15 min: ${load}\n`,
  )
}
