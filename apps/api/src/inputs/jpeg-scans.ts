/**
 * Scans of a progressive JPEG that are decoded. Encoders write about ten, those that search for the smallest
 * file a few dozen. A decoder goes through all pixels for each, however few bytes it has.
 */
export const SCANS_MAX = 100

const MARKER = 0xff
const START_OF_SCAN = 0xda
const END_OF_IMAGE = 0xd9
/** Restarts between pieces of a scan, and a marker that means nothing. */
const STANDALONE = new Set([0x01, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7])
/** About a tenth of a millisecond. */
const STEPS_BETWEEN_YIELDS = 65_536

/**
 * Whether a JPEG has more than SCANS_MAX scans, by walking over its markers as decoders do. Yields where it
 * may be cut: ten megabytes take some ten milliseconds.
 */
export function* hasTooManyScans(jpeg: Buffer): Generator<undefined, boolean> {
  let scans = 0
  let at = 2
  for (let steps = 1; at + 1 < jpeg.length; steps += 1) {
    if (steps % STEPS_BETWEEN_YIELDS === 0) yield
    const marker = jpeg[at] === MARKER ? (jpeg[at + 1] ?? 0) : 0
    // Bytes of a scan: a marker is written as MARKER and 0 in them.
    if (marker === 0 || marker === MARKER || STANDALONE.has(marker)) {
      at += 1
      continue
    }
    if (marker === END_OF_IMAGE) return false
    if (marker === START_OF_SCAN) scans += 1
    if (scans > SCANS_MAX) return true
    at += 2 + (at + 3 < jpeg.length ? jpeg.readUInt16BE(at + 2) : 0)
  }
  return false
}
