import { Comings, FairLine, LineFullError } from '@sluice/shared/fair-line'
import type { Bounds } from './config/bounds.ts'
import { SluiceError } from './errors.ts'

/** Calls of one account never take more than this share of the connections for requests. */
const CONNECTIONS_SHARE = 0.25

/** What accounts share, and how they come to it in turn: one cannot keep another waiting. */
export interface Places {
  /** Calls and transactions that need the database alone. */
  calls: FairLine
  /** Calls that wait for something outside as well. */
  longCalls: FairLine
  /** Submissions: they share transactions, so they use up no connections. */
  submissions: FairLine
  /** Bytes of request bodies in memory. */
  bodyBytes: FairLine
  /** Input images being decoded. */
  decodings: FairLine
  /** Input images being fetched. */
  fetches: FairLine
  /** Promises being made: each is to count for the next one, whoever's it is. */
  promises: FairLine
}

/** Busy for more than this share of the time, the event loop keeps others waiting. */
const BUSY_SHARE = 0.7
const LOOK_EVERY_MS = 50

/** Says whether the event loop, which all calls share, has been busy of late. */
class EventLoopWatch {
  #before = performance.eventLoopUtilization()
  #isBusy = false

  isBusy(): boolean {
    const { active, idle, utilization } = performance.eventLoopUtilization(this.#before)
    if (active + idle >= LOOK_EVERY_MS) {
      this.#before = performance.eventLoopUtilization()
      this.#isBusy = utilization > BUSY_SHARE
    }
    return this.#isBusy
  }
}

/** The lines of one process, which has `connections` to the database for requests. */
export function openPlaces(bounds: Bounds, connections: number): Places {
  const waiting = { waitingOfTenant: bounds.waitingCallsOfAccount, waitMsMax: bounds.callWaitMs }
  const eventLoop = new EventLoopWatch()
  // Of all lines of calls: whichever an account asks in, it takes of the same event loop.
  const comings = new Comings()
  // Rested that long while the event loop is busy, an account that asks without end has half of it.
  const ofCalls = (placesOfTenant: number, placesWhenScarce = placesOfTenant) =>
    new FairLine({
      ...waiting,
      places: Number.POSITIVE_INFINITY,
      placesOfTenant,
      rest: {
        placesOfTenant: placesWhenScarce,
        times: 2 * placesWhenScarce - 1,
        isScarce: () => eventLoop.isBusy(),
        comings,
      },
    })
  return {
    calls: ofCalls(Math.max(2, Math.floor(connections * CONNECTIONS_SHARE))),
    longCalls: ofCalls(bounds.longCallsOfAccount),
    submissions: ofCalls(bounds.submissionsOfAccount, bounds.longCallsOfAccount),
    bodyBytes: new FairLine({
      ...waiting,
      places: bounds.bodyBytes,
      placesOfTenant: bounds.bodyBytesOfAccount,
    }),
    decodings: new FairLine({
      ...waiting,
      places: bounds.decodings,
      placesOfTenant: bounds.decodingsOfAccount,
    }),
    fetches: new FairLine({ ...waiting, places: bounds.fetches, placesOfTenant: bounds.fetchesOfAccount }),
    promises: new FairLine({ ...waiting, places: 1, placesOfTenant: 1 }),
  }
}

/** `work` in its turn. Throws SluiceError `too_many_at_once` when too much of the account waits already. */
export async function inTurn<T>(line: FairLine, tenant: string, work: () => Promise<T>): Promise<T> {
  const leave = await enterLine(line, tenant, { weight: 1 })
  try {
    return await work()
  } finally {
    leave()
  }
}

/**
 * Waits for a place. Returns a function that gives it back. Throws SluiceError `too_many_at_once`, or the
 * reason of the signal.
 */
export async function enterLine(
  line: FairLine,
  tenant: string,
  { weight, signal }: { weight: number; signal?: AbortSignal },
): Promise<() => void> {
  try {
    return await line.enter(tenant, weight, signal)
  } catch (error) {
    if (!(error instanceof LineFullError)) throw error
    throw new SluiceError(
      'too_many_at_once',
      'This account has too many requests under way at once. Wait for some to be answered.',
    )
  }
}
