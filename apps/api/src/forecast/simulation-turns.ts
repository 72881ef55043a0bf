import { FairLine, LineFullError } from '@sluice/shared/fair-line'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { HangsError } from './hang-guard.ts'

/** What is simulated: for a promise that is being made, behind which others wait, or only looked at. */
export type Purpose = 'promise' | 'look'

/**
 * Lets one simulation run at a time, since they share a processor with all calls. Accounts come in turn, each
 * with one, so that who asks for many keeps only its own waiting. Promises and looks take turns as well:
 * promises are made one after the other, so that each of them waits for one look at most, however many look.
 */
export class SimulationTurns {
  readonly #accounts: Record<Purpose, FairLine>
  readonly #purposes = new FairLine({ places: 1, placesOfTenant: 1, waitingOfTenant: 1 })

  constructor({ waitMsMax = TIME_LIMITS.forecast.turnMs }: { waitMsMax?: number } = {}) {
    // How many of an account wait is bounded by how many of its calls are let in.
    const inTurn = { places: 1, placesOfTenant: 1, waitingOfTenant: Number.POSITIVE_INFINITY, waitMsMax }
    this.#accounts = { promise: new FairLine(inTurn), look: new FairLine(inTurn) }
  }

  /** What `simulate` returns when its turn has come. Throws HangsError when that does not come soon. */
  async run<T>(purpose: Purpose, accountId: string, simulate: () => Promise<T>): Promise<T> {
    const leave = await this.#enter(purpose, accountId)
    try {
      return await this.#purposes.run(purpose, simulate)
    } finally {
      leave()
    }
  }

  async #enter(purpose: Purpose, accountId: string): Promise<() => void> {
    try {
      return await this.#accounts[purpose].enter(accountId, 1)
    } catch (error) {
      throw error instanceof LineFullError ? new HangsError('too many accounts ask at once') : error
    }
  }
}
