/** What became of one piece: what it gave, why it was refused, or that its tenant could not be worked on. */
export type Outcome<Result> = { result: Result } | { error: unknown } | typeof TENANT_BUSY

/** Somebody else has what the tenant's pieces need: they are worked on again. */
export const TENANT_BUSY = Symbol('tenant busy')

export interface TenantGroupsOptions<Piece, Result> {
  tenantOf(piece: Piece): string
  /**
   * Works on pieces together, each tenant's in the order in which they came, and returns their outcomes in
   * the order of the pieces. A throw means that nothing was done. Only of pieces that stand `apart`, which
   * are a single tenant's, it may wait for what somebody else has.
   */
  work(pieces: readonly Piece[], standing: { isApart: boolean }): Promise<Outcome<Result>[]>
  /**
   * Waits until no other process is in its turn, takes what there is by then and works on it, as `work` does
   * on what does not stand apart. Throws without taking when the turn does not come soon.
   */
  workInTurn(take: (turn: Turn) => readonly Piece[]): Promise<Outcome<Result>[]>
  /** Whether what `work` threw would be thrown for each piece alone too. */
  isHopeless(error: unknown): boolean
  /** Groups at a time; as many again of those that stand apart. */
  groupsMax: number
  piecesMax: number
}

export interface Turn {
  /** Whether it came at once: no other process was in its turn. */
  wasFree: boolean
}

/** Whom a piece may share a group with: anybody, its own tenant, or nobody. */
type Company = 'any' | 'own' | 'none'

interface Waiting<Piece, Result> {
  piece: Piece
  company: Company
  /** In how many turns its tenant was busy. */
  busyTurns: number
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

/** So many groups are worked on in turn before it is tried again without. */
const TURNS = 64
/** After a turn that did not come, so many groups that find tenants busy do without: seconds of a flood. */
const GROUPS_WITHOUT_TURN = 1_000
/** A tenant that is busy in so many turns is held by somebody who takes none. */
const BUSY_TURNS_MAX = 3

/** So many are answered before other work of the event loop has its turn: each is some tenths of a ms. */
const ANSWERED_AT_ONCE = 8

/**
 * Works on what arrives together in groups. A piece that comes alone is a group by itself, at once: nothing
 * waits for others to come. A tenant is in one group at a time, so its pieces are done in the order in which
 * they came; other tenants' groups go on beside it. A group takes from the tenants that wait in turn, so a
 * flood of one fills only what the others leave. Pieces of a group that fails are tried again one by one.
 *
 * Where tenants are busy, other processes work for them too. Then one process at a time works on a group, in
 * turn, of all that has come until its turn does: the next one finds no tenant busy. A tenant that still is
 * goes by itself, and is waited for there.
 *
 * How many wait is bounded by whoever lets them in.
 */
export class TenantGroups<Piece, Result> {
  readonly #options: TenantGroupsOptions<Piece, Result>
  /** The pieces that wait of tenants that are in no group, in the order in which the tenants come. */
  readonly #lines = new Map<string, Waiting<Piece, Result>[]>()
  /** The pieces that wait of tenants that are in a group. */
  readonly #behind = new Map<string, Waiting<Piece, Result>[]>()
  readonly #underWay = { together: 0, apart: 0 }
  #isInTurn = false
  /** Groups that are still to be worked on in turn. */
  #turnsLeft = 0
  /** Groups that find tenants busy and are still to do without a turn. */
  #withoutTurn = 0
  #isStarting = false

  constructor(options: TenantGroupsOptions<Piece, Result>) {
    this.#options = options
  }

  /** What came of the piece. Throws why it was refused, or what `work` threw for it alone. */
  join(piece: Piece): Promise<Result> {
    return new Promise((resolve, reject) => {
      const tenant = this.#options.tenantOf(piece)
      const waiting: Waiting<Piece, Result> = { piece, company: 'any', busyTurns: 0, resolve, reject }
      const line = this.#behind.get(tenant) ?? this.#lines.get(tenant)
      if (line === undefined) this.#lines.set(tenant, [waiting])
      else line.push(waiting)
      this.#startSoon()
    })
  }

  /** Once everything that has arrived by now is read: no timer, and no wait when there is nothing. */
  #startSoon(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    setImmediate(() => {
      this.#isStarting = false
      this.#start()
    })
  }

  #start(): void {
    if (this.#turnsLeft > 0 && !this.#isInTurn && this.#tenantsForAny().length > 0) {
      const group: Waiting<Piece, Result>[] = []
      this.#isInTurn = true
      this.#runInTurn(group).catch(rejectAll(group))
    }
    for (;;) {
      const group = this.#take()
      const [first] = group
      if (first === undefined) return
      this.#underWay[placeOf(first.company)] += 1
      this.#run(group, first.company).catch(rejectAll(group))
    }
  }

  /** Takes the next group that there is a place for off the lines. */
  #take(): Waiting<Piece, Result>[] {
    for (const [tenant, [head]] of this.#lines) {
      if (head === undefined || !this.#hasPlaceFor(head.company)) continue
      return this.#takeOf(head.company === 'any' ? this.#tenantsForAny() : [tenant], head.company)
    }
    return []
  }

  #hasPlaceFor(company: Company): boolean {
    if (company === 'any' && this.#turnsLeft > 0) return false
    return this.#underWay[placeOf(company)] < this.#options.groupsMax
  }

  #takeOf(tenants: readonly string[], company: Company): Waiting<Piece, Result>[] {
    const group: Waiting<Piece, Result>[] = []
    const taken = new Map<string, number>()
    const piecesMax = company === 'none' ? 1 : this.#options.piecesMax
    for (let isMore = true; isMore; ) {
      isMore = false
      for (const tenant of tenants) {
        const count = taken.get(tenant) ?? 0
        const next = this.#lines.get(tenant)?.[count]
        if (next === undefined || next.company !== company || group.length >= piecesMax) continue
        group.push(next)
        taken.set(tenant, count + 1)
        isMore = true
      }
    }
    for (const [tenant, count] of taken) {
      this.#behind.set(tenant, this.#lines.get(tenant)?.slice(count) ?? [])
      this.#lines.delete(tenant)
    }
    return group
  }

  /** The first of the tenants whose next piece may share a group with anybody's, as many as fit one. */
  #tenantsForAny(): string[] {
    const tenants = [...this.#lines].flatMap(([tenant, [head]]) => (head?.company === 'any' ? [tenant] : []))
    return tenants.slice(0, this.#options.piecesMax)
  }

  async #run(group: readonly Waiting<Piece, Result>[], company: Company): Promise<void> {
    const pieces = group.map(({ piece }) => piece)
    const outcomes = await this.#options
      .work(pieces, { isApart: company !== 'any' })
      .catch((error: unknown) => this.#outcomesOfFailed(group, error))
    this.#underWay[placeOf(company)] -= 1
    if (company === 'any' && outcomes.includes(TENANT_BUSY)) this.#noteBusy()
    const goesBySelf = company !== 'any' || this.#turnsLeft === 0
    this.#letGo(group, outcomes, (busy) => (goesBySelf ? { ...busy, company: 'own' } : busy))
    this.#start()
    await answerAll(group, outcomes)
  }

  /** A group found tenants busy: what comes next is worked on in turn, unless one did not come lately. */
  #noteBusy(): void {
    if (this.#withoutTurn > 0) this.#withoutTurn -= 1
    else this.#turnsLeft = TURNS
  }

  /** `group` gets what is taken. */
  async #runInTurn(group: Waiting<Piece, Result>[]): Promise<void> {
    let turn: Turn | null = null
    const take = (its: Turn) => {
      turn = its
      group.push(...this.#takeOf(this.#tenantsForAny(), 'any'))
      return group.map(({ piece }) => piece)
    }
    const outcomes = await this.#options
      .workInTurn(take)
      .catch((error: unknown) => this.#outcomesOfFailed(group, error))
    this.#letGo(group, outcomes, (busy) => {
      const busyTurns = busy.busyTurns + 1
      return { ...busy, busyTurns, company: busyTurns < BUSY_TURNS_MAX ? 'any' : 'own' }
    })
    this.#isInTurn = false
    this.#noteTurn(turn, group.length)
    this.#start()
    await answerAll(group, outcomes)
  }

  #noteTurn(turn: Turn | null, pieces: number): void {
    // What comes alone while nobody else works is not to wait for a turn first.
    const wasIdle = turn?.wasFree === true && pieces <= 1 && this.#lines.size === 0
    this.#turnsLeft = turn === null || wasIdle ? 0 : this.#turnsLeft - 1
    if (turn === null) this.#withoutTurn = GROUPS_WITHOUT_TURN
  }

  #outcomesOfFailed(group: readonly Waiting<Piece, Result>[], error: unknown): (Outcome<Result> | 'apart')[] {
    const isOver = group.length === 1 || this.#options.isHopeless(error)
    return group.map(() => (isOver ? { error } : 'apart'))
  }

  /**
   * The tenants of a group may come again, with what is to be tried again in front: what is to be `apart`,
   * and of busy tenants what `afterBusy` makes of it.
   */
  #letGo(
    group: readonly Waiting<Piece, Result>[],
    outcomes: readonly (Outcome<Result> | 'apart')[],
    afterBusy: (busy: Waiting<Piece, Result>) => Waiting<Piece, Result>,
  ): void {
    const { tenantOf } = this.#options
    const again = group.flatMap((waiting, at): Waiting<Piece, Result>[] => {
      if (outcomes[at] === 'apart') return [{ ...waiting, company: 'none' }]
      return outcomes[at] === TENANT_BUSY ? [afterBusy(waiting)] : []
    })
    const againOf = Map.groupBy(again, ({ piece }) => tenantOf(piece))
    for (const tenant of new Set(group.map(({ piece }) => tenantOf(piece)))) {
      const line = [...(againOf.get(tenant) ?? []), ...(this.#behind.get(tenant) ?? [])]
      this.#behind.delete(tenant)
      if (line.length > 0) this.#lines.set(tenant, line)
    }
  }
}

function placeOf(company: Company): 'together' | 'apart' {
  return company === 'any' ? 'together' : 'apart'
}

function rejectAll<Piece, Result>(group: readonly Waiting<Piece, Result>[]): (error: unknown) => void {
  return (error) => {
    for (const { reject } of group) reject(error)
  }
}

async function answerAll<Piece, Result>(
  group: readonly Waiting<Piece, Result>[],
  outcomes: readonly (Outcome<Result> | 'apart' | undefined)[],
): Promise<void> {
  let answered = 0
  for (const [at, { resolve, reject }] of group.entries()) {
    const outcome = outcomes[at]
    if (outcome === undefined) reject(new RangeError('a piece of a group has no outcome'))
    if (typeof outcome !== 'object') continue
    if ('error' in outcome) reject(outcome.error)
    else resolve(outcome.result)
    answered += 1
    if (answered % ANSWERED_AT_ONCE === 0) await new Promise((goOn) => setImmediate(goOn))
  }
}
