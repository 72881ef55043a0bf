/** How much of what is shared one account may take, and how much there is in all. */
export interface Bounds {
  /** Calls of an account that wait for something outside (a store, a hook, a name server), at a time. */
  longCallsOfAccount: number
  /**
   * Submissions of an account at a time, which become videos together; while the event loop is busy with
   * other accounts too, no more than its long calls.
   */
  submissionsOfAccount: number
  /** Calls of an account that wait for their turn; more are refused. */
  waitingCallsOfAccount: number
  /** How long a call waits for its turn before it is refused. */
  callWaitMs: number
  /** A refusal for too much at once is answered after this long, or its client would ask again at once. */
  refusalPauseMs: number
  /** Requests without a good key that one address is answered at once; further ones wait. */
  strangerRequestsPerSecond: number
  /** Bytes of request bodies that are being read or worked on. */
  bodyBytes: number
  bodyBytesOfAccount: number
  /** A body must come at least this fast, from `bodyGraceMs` after its beginning. */
  bodyBytesPerSecondMin: number
  bodyGraceMs: number
  /** How long the rest of a body that was refused is thrown away before its connection is closed. */
  lingerMs: number
  /** Event streams of one process. */
  streams: number
  streamsOfAccount: number
  streamsOfVideo: number
  /** Input images that are decoded at a time. */
  decodings: number
  decodingsOfAccount: number
  /** Input images that are fetched from their URLs at a time. */
  fetches: number
  fetchesOfAccount: number
}

const MIB = 1024 * 1024

export const DEFAULT_BOUNDS: Bounds = {
  // Fewer than the connections for requests, of which each may need one.
  longCallsOfAccount: 6,
  // Half of them are written while the other half is read: in groups of 32 a commit costs each little.
  submissionsOfAccount: 64,
  // What waits costs little more than its connection. OpenAI's client for Python has up to 1,000 of them.
  waitingCallsOfAccount: 2_000,
  callWaitMs: 20_000,
  refusalPauseMs: 1_000,
  // A page loads a dozen files; several people may share an address.
  strangerRequestsPerSecond: 50,
  // Four accounts that upload as much as they may; a body is held about twice, as bytes and as text.
  bodyBytes: 256 * MIB,
  // Four of the largest bodies: a data URL of 10 MiB beside 1 MiB of fields.
  bodyBytesOfAccount: 64 * MIB,
  // Half a megabit: the largest body takes four minutes.
  bodyBytesPerSecondMin: 64 * 1024,
  bodyGraceMs: 10_000,
  lingerMs: 5_000,
  streams: 10_000,
  streamsOfAccount: 200,
  // A page, a phone and a script each have one.
  streamsOfVideo: 20,
  // The largest image takes some 300 MB while it is decoded.
  decodings: 2,
  decodingsOfAccount: 1,
  fetches: 32,
  fetchesOfAccount: 4,
}

/** The largest body: a data URL of 10 MiB beside 1 MiB of fields. */
const LARGEST_BODY = 15 * MIB
/** Of all memory: bodies may take this share, and images beside each other come from this much on. */
const BODY_SHARE = 1 / 8
const TWO_IMAGES_FROM = 1536 * MIB

/**
 * The bounds of a process that has so much memory: less room for what customers upload at a time where there
 * is less. What finds no room waits for its turn.
 */
export function boundsFor(memoryBytes: number): Bounds {
  const bodyBytes = Math.max(2 * LARGEST_BODY, Math.min(DEFAULT_BOUNDS.bodyBytes, memoryBytes * BODY_SHARE))
  return {
    ...DEFAULT_BOUNDS,
    bodyBytes,
    bodyBytesOfAccount: Math.min(DEFAULT_BOUNDS.bodyBytesOfAccount, bodyBytes / 2),
    decodings: memoryBytes < TWO_IMAGES_FROM ? 1 : DEFAULT_BOUNDS.decodings,
  }
}
