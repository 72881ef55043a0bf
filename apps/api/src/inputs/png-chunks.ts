/** What a decoder is given of a PNG. */
export interface DecodedChunks {
  bytes: Buffer
  /** True when it holds an animation (APNG), which decoders of still images pass over. */
  isAnimated: boolean
}

const SIGNATURE_BYTES = 8
/** Length, type and checksum of a chunk. */
const FRAME_BYTES = 12
/** Pixels in pieces of half a kilobyte would be fewer than that at 10 MiB; encoders write 4 KiB and more. */
const CHUNKS_MAX = 20_000
/** A JPEG cannot hold more of it. */
const EXIF_BYTES_MAX = 65_536

const codeOf = (type: string) => Buffer.from(type, 'latin1').readUInt32BE(0)
const PIXELS = codeOf('IDAT')
const ANIMATION = codeOf('acTL')
const EXIF = codeOf('eXIf')
/** Chunks that a decoder could do without, but the picture would look different. */
const OF_THE_LOOK = new Set(['tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'cICP', 'sBIT'].map(codeOf))
/** A bit of the type: set when the chunk is not needed to show the picture. */
const IS_ANCILLARY = 0x20_00_00_00

/**
 * What a decoder needs of a PNG for its pixels: without texts and all else, which may be compressed as well,
 * and unpack to gigabytes before the first pixel is read. Null when it is cut into more chunks than any
 * encoder makes.
 */
export function chunksToDecode(png: Buffer): DecodedChunks | null {
  const kept = [png.subarray(0, SIGNATURE_BYTES)]
  let isAnimated = false
  let hasPixels = false
  let at = SIGNATURE_BYTES
  for (let count = 0; at + SIGNATURE_BYTES <= png.length; count += 1) {
    if (count === CHUNKS_MAX) return null
    const length = png.readUInt32BE(at)
    const type = png.readUInt32BE(at + 4)
    const end = Math.min(png.length, at + FRAME_BYTES + length)
    if (type === ANIMATION && !hasPixels) isAnimated = true
    hasPixels ||= type === PIXELS
    const isNeeded = (type & IS_ANCILLARY) === 0 || OF_THE_LOOK.has(type)
    if (isNeeded || (type === EXIF && length <= EXIF_BYTES_MAX)) kept.push(png.subarray(at, end))
    at = end
  }
  kept.push(png.subarray(at))
  return { bytes: Buffer.concat(kept), isAnimated }
}
