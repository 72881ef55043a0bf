/** What an MP4's boxes say, read without the library that wrote them (ISO/IEC 14496-12 and -15). */
export interface Mp4Facts {
  boxes: string[]
  width: number
  height: number
  /** Samples in stsz, and in stts. */
  samples: number
  timedSamples: number
  /** Seconds of all samples by stts, and of the movie by mvhd. */
  sampleSeconds: number
  movieSeconds: number
  /** Each different sample duration in seconds. */
  durations: number[]
  created: number[]
  profile: number
  fullRange: boolean
}

interface Box {
  type: string
  body: Buffer
}

export function readMp4Facts(file: Buffer): Mp4Facts {
  const top = boxesOf(file)
  const find = (from: Buffer, ...path: string[]): Buffer =>
    path.reduce((body, type) => {
      const box = boxesOf(body).find((candidate) => candidate.type === type)
      if (box === undefined) throw new Error(`no ${type} box`)
      return box.body
    }, from)
  const mvhd = find(file, 'moov', 'mvhd')
  const media = find(file, 'moov', 'trak', 'mdia')
  const mdhd = find(media, 'mdhd')
  const table = find(media, 'minf', 'stbl')
  const stts = find(table, 'stts')
  const entry = boxesOf(find(table, 'stsd').subarray(8))[0]
  if (entry?.type !== 'avc1') throw new Error(`the sample entry is ${entry?.type}`)
  // A visual sample entry has 78 bytes of fields before its boxes.
  const inner = entry.body.subarray(78)
  const timescale = mdhd.readUInt32BE(12)
  const times = Array.from({ length: stts.readUInt32BE(4) }, (_, index) => ({
    count: stts.readUInt32BE(8 + index * 8),
    ticks: stts.readUInt32BE(12 + index * 8),
  }))
  return {
    boxes: top.map((box) => box.type),
    width: entry.body.readUInt16BE(24),
    height: entry.body.readUInt16BE(26),
    samples: find(table, 'stsz').readUInt32BE(8),
    timedSamples: times.reduce((sum, { count }) => sum + count, 0),
    sampleSeconds: times.reduce((sum, { count, ticks }) => sum + count * ticks, 0) / timescale,
    movieSeconds: mvhd.readUInt32BE(16) / mvhd.readUInt32BE(12),
    durations: [...new Set(times.map(({ ticks }) => ticks / timescale))],
    created: [mvhd, mdhd, find(file, 'moov', 'trak', 'tkhd')].flatMap((box) => [
      box.readUInt32BE(4),
      box.readUInt32BE(8),
    ]),
    profile: find(inner, 'avcC').readUInt8(1),
    fullRange: (find(inner, 'colr').readUInt8(10) & 0x80) !== 0,
  }
}

function boxesOf(bytes: Buffer): Box[] {
  const boxes: Box[] = []
  for (let at = 0; at + 8 <= bytes.length; ) {
    const small = bytes.readUInt32BE(at)
    const header = small === 1 ? 16 : 8
    const size = small === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : small === 0 ? bytes.length - at : small
    if (size < header) throw new Error(`a box of ${size} bytes`)
    boxes.push({
      type: bytes.toString('latin1', at + 4, at + 8),
      body: bytes.subarray(at + header, at + size),
    })
    at += size
  }
  return boxes
}
