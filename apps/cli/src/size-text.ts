/** Bytes in the unit people read. */
export function sizeText(bytes: number): string {
  for (const [unit, size] of UNITS) {
    // What would be rounded up to 1000.0 of the smaller unit: 999,960 bytes are 1 MB, not 1000 kB.
    if (bytes >= size * 0.99995) return `${(bytes / size).toFixed(1)} ${unit}`
  }
  return `${bytes} bytes`
}

const UNITS = [
  ['GB', 1_000_000_000],
  ['MB', 1_000_000],
  ['kB', 1_000],
] as const
