const CONTAINERS = new Set(['moov', 'trak', 'mdia'])
const DATED = new Set(['mvhd', 'tkhd', 'mdhd'])

/**
 * Sets the creation and modification times of an MP4 to zero ("unknown", ISO/IEC 14496-12 section 8.2.2), in
 * place: the muxer writes the clock, and the same request must give the same bytes.
 */
export function clearTimes(mp4: Uint8Array): void {
  const view = new DataView(mp4.buffer, mp4.byteOffset, mp4.byteLength)
  const visit = (from: number, to: number): void => {
    let at = from
    while (at + 8 <= to) {
      const size = view.getUint32(at)
      // 1 = a 64-bit size, 0 = up to the end: only mdat has them, and it comes after moov.
      if (size < 8) return
      const type = String.fromCharCode(...mp4.subarray(at + 4, at + 8))
      if (CONTAINERS.has(type)) visit(at + 8, at + size)
      // Version 1 has 64-bit times.
      else if (DATED.has(type)) mp4.fill(0, at + 12, at + 12 + (mp4[at + 8] === 1 ? 16 : 8))
      at += size
    }
  }
  visit(0, mp4.byteLength)
}
