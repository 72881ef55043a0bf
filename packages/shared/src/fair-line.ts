/** A tenant has as much waiting as it may, or has waited as long as it may. */
export class LineFullError extends Error {
  override readonly name = 'LineFullError'
}

export interface FairLineOptions {
  /** What all work that runs at a time may weigh together. */
  places: number
  /** What the work of one tenant may weigh together. */
  placesOfTenant: number
  /** Pieces of one tenant that may wait; more are refused. */
  waitingOfTenant: number
  /**
   * Where other tenants come as well, a tenant has no more than `placesOfTenant`, and one that keeps its own
   * waiting lets each place rest for `times` as long as it was taken, while `isScarce()`: what tenants share
   * besides the places, such as a processor, is then not all its own. While there is plenty of it nobody
   * gains by a rest, so there is none. Lines whose tenants share it have the same `comings`.
   */
  rest?: { times: number; isScarce: () => boolean; comings: Comings; placesOfTenant?: number }
  /** How long a piece may wait before it is refused; for ever by default. */
  waitMsMax?: number
}

/** A tenant that came within this time counts as there. */
const OTHERS_MS = 1_000
const REST_MS_MAX = 100

/** Who came of late, to one line or to several. */
export class Comings {
  /** Who came last and when, and the same of whoever came before and was another. */
  #last = { name: '', ms: Number.NEGATIVE_INFINITY }
  #other = { name: '', ms: Number.NEGATIVE_INFINITY }

  note(name: string): void {
    if (name !== this.#last.name) this.#other = this.#last
    this.#last = { name, ms: performance.now() }
  }

  /** Whether another than this tenant is there. */
  hasOtherThan(name: string): boolean {
    const other = this.#last.name === name ? this.#other : this.#last
    return performance.now() - other.ms <= OTHERS_MS
  }
}

interface Piece {
  weight: number
  start: () => void
}

interface Tenant {
  taken: number
  waiting: Piece[]
}

/**
 * Shares out something that there is little of, such as connections or memory, so that a tenant can only
 * crowd itself: work beyond `placesOfTenant` waits behind the same tenant's, never before another's. Where
 * all places are taken, tenants come in turn, each with its first piece.
 */
export class FairLine {
  readonly #options: FairLineOptions
  /** Tenants with work that runs or waits. */
  readonly #tenants = new Map<string, Tenant>()
  /** Those of them with work that waits, in the order in which they come next. */
  readonly #waiting = new Map<string, Tenant>()
  #free: number

  constructor(options: FairLineOptions) {
    this.#options = options
    this.#free = options.places
  }

  /** Runs `work` when its turn has come. Throws LineFullError, or what `signal` or `work` gives as reason. */
  async run<T>(tenant: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = await this.enter(tenant, 1, signal)
    try {
      return await work()
    } finally {
      leave()
    }
  }

  /**
   * Takes places that weigh `weight`, of which one tenant may have all. Returns a function that gives them
   * back, and may be called again. Throws LineFullError, or the reason of `signal`.
   */
  async enter(name: string, weight: number, signal?: AbortSignal): Promise<() => void> {
    const tenant = this.#tenants.get(name) ?? { taken: 0, waiting: [] }
    this.#options.rest?.comings.note(name)
    const taken = Math.min(weight, this.#options.placesOfTenant, this.#options.places)
    if (tenant.waiting.length > 0 || !this.#fits(name, tenant, taken))
      await this.#wait(name, tenant, taken, signal)
    else this.#take(name, tenant, taken)
    const startedMs = performance.now()
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      const restMs = this.#restMs(name, tenant, performance.now() - startedMs)
      if (restMs === 0) this.#giveBack(name, tenant, taken)
      else setTimeout(() => this.#giveBack(name, tenant, taken), restMs)
    }
  }

  #restMs(name: string, { waiting }: Tenant, tookMs: number): number {
    const { rest } = this.#options
    if (rest === undefined || waiting.length === 0 || !this.#isScarceFor(name)) return 0
    return Math.min(REST_MS_MAX, tookMs * rest.times)
  }

  /** Whether a tenant has to leave more to others, which are there. */
  #isScarceFor(name: string): boolean {
    const { rest } = this.#options
    return rest?.comings.hasOtherThan(name) === true && rest.isScarce()
  }

  #fits(name: string, tenant: Tenant, weight: number): boolean {
    const { placesOfTenant, rest } = this.#options
    const places = Math.min(placesOfTenant, rest?.placesOfTenant ?? placesOfTenant)
    if (weight > this.#free || tenant.taken + weight > placesOfTenant) return false
    return tenant.taken + weight <= places || !this.#isScarceFor(name)
  }

  #take(name: string, tenant: Tenant, weight: number): void {
    tenant.taken += weight
    this.#free -= weight
    this.#tenants.set(name, tenant)
  }

  #wait(name: string, tenant: Tenant, weight: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (tenant.waiting.length >= this.#options.waitingOfTenant)
      throw new LineFullError(`${tenant.waiting.length} wait already`)
    this.#tenants.set(name, tenant)
    if (tenant.waiting.length === 0) this.#waiting.set(name, tenant)
    return new Promise((resolve, reject) => {
      const { waitMsMax } = this.#options
      const settle = (then: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        then()
      }
      const piece: Piece = { weight, start: () => settle(resolve) }
      const leave = (reason: unknown) => {
        tenant.waiting.splice(tenant.waiting.indexOf(piece), 1)
        if (tenant.waiting.length === 0) this.#waiting.delete(name)
        this.#forgetIdle(name, tenant)
        settle(() => reject(reason))
        // Whoever stood behind it may fit.
        this.#startNext()
      }
      const onAbort = () => leave(signal?.reason)
      const timer =
        waitMsMax === undefined
          ? undefined
          : setTimeout(() => leave(new LineFullError(`waited ${waitMsMax} ms`)), waitMsMax)
      signal?.addEventListener('abort', onAbort, { once: true })
      tenant.waiting.push(piece)
    })
  }

  #giveBack(name: string, tenant: Tenant, weight: number): void {
    tenant.taken -= weight
    this.#free += weight
    this.#forgetIdle(name, tenant)
    this.#startNext()
  }

  #forgetIdle(name: string, tenant: Tenant): void {
    if (tenant.taken === 0 && tenant.waiting.length === 0 && this.#tenants.get(name) === tenant)
      this.#tenants.delete(name)
  }

  /** Starts the first piece of each tenant that fits, tenant by tenant, until a whole turn starts none. */
  #startNext(): void {
    for (let isStarted = true; isStarted; ) {
      isStarted = false
      for (const [name, tenant] of [...this.#waiting]) {
        const [first] = tenant.waiting
        if (first === undefined || !this.#fits(name, tenant, first.weight)) continue
        tenant.waiting.shift()
        this.#waiting.delete(name)
        // Last of the next turn.
        if (tenant.waiting.length > 0) this.#waiting.set(name, tenant)
        this.#take(name, tenant, first.weight)
        first.start()
        isStarted = true
      }
    }
  }
}
