/** What became of one piece: what it gave, why it was refused, or that its tenant could not be worked on. */
export type Outcome<Result> = { result: Result } | { error: unknown } | typeof TENANT_BUSY

/** Somebody else has what the tenant's pieces need: they are worked on again, without other tenants'. */
export const TENANT_BUSY = Symbol('tenant busy')

export interface TenantGroupsOptions<Piece, Result> {
  tenantOf(piece: Piece): string
  /**
   * Works on pieces together, each tenant's in the order in which they came, and returns their outcomes in
   * the order of the pieces. A throw means that nothing was done. Only of pieces that stand `apart`, which
   * are a single tenant's, it may wait for what somebody else has.
   */
  work(pieces: readonly Piece[], standing: { isApart: boolean }): Promise<Outcome<Result>[]>
  /** Whether what `work` threw would be thrown for each piece alone too. */
  isHopeless(error: unknown): boolean
  /** Groups at a time; as many again of those that stand apart. */
  groupsMax: number
  piecesMax: number
}

/** Whom a piece may share a group with: anybody, its own tenant, or nobody. */
type Company = 'any' | 'own' | 'none'

interface Waiting<Piece, Result> {
  piece: Piece
  company: Company
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

/** So many are answered before other work of the event loop has its turn: each is some tenths of a ms. */
const ANSWERED_AT_ONCE = 8

/**
 * Works on what arrives together in groups. A piece that comes alone is a group by itself, at once: nothing
 * waits for others to come. A tenant is in one group at a time, so its pieces are done in the order in which
 * they came; other tenants' groups go on beside it. A group takes from the tenants that wait in turn, so a
 * flood of one fills only what the others leave. Pieces of a group that fails are tried again one by one.
 * How many wait is bounded by whoever lets them in.
 */
export class TenantGroups<Piece, Result> {
  readonly #options: TenantGroupsOptions<Piece, Result>
  /** The pieces that wait of tenants that are in no group, in the order in which the tenants come. */
  readonly #lines = new Map<string, Waiting<Piece, Result>[]>()
  /** The pieces that wait of tenants that are in a group. */
  readonly #behind = new Map<string, Waiting<Piece, Result>[]>()
  readonly #underWay = { together: 0, apart: 0 }
  #isStarting = false

  constructor(options: TenantGroupsOptions<Piece, Result>) {
    this.#options = options
  }

  /** What came of the piece. Throws why it was refused, or what `work` threw for it alone. */
  join(piece: Piece): Promise<Result> {
    return new Promise((resolve, reject) => {
      const tenant = this.#options.tenantOf(piece)
      const waiting: Waiting<Piece, Result> = { piece, company: 'any', resolve, reject }
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
    for (;;) {
      const group = this.#take()
      const [first] = group
      if (first === undefined) return
      this.#underWay[placeOf(first.company)] += 1
      this.#run(group, first.company).catch((error: unknown) => {
        for (const { reject } of group) reject(error)
      })
    }
  }

  /** Takes the next group that there is a place for off the lines. */
  #take(): Waiting<Piece, Result>[] {
    const { groupsMax } = this.#options
    for (const [tenant, [head]] of this.#lines) {
      if (head === undefined || this.#underWay[placeOf(head.company)] >= groupsMax) continue
      return this.#takeBeginningWith(tenant, head.company)
    }
    return []
  }

  #takeBeginningWith(firstTenant: string, company: Company): Waiting<Piece, Result>[] {
    const group: Waiting<Piece, Result>[] = []
    const taken = new Map<string, number>()
    const tenants = company === 'any' ? this.#tenantsForAny() : [firstTenant]
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
      .catch((error: unknown) => {
        const isOver = group.length === 1 || this.#options.isHopeless(error)
        return group.map((): Outcome<Result> | 'apart' => (isOver ? { error } : 'apart'))
      })
    this.#underWay[placeOf(company)] -= 1
    const again = group.flatMap((waiting, at): Waiting<Piece, Result>[] => {
      const outcome = outcomes[at]
      if (outcome === 'apart') return [{ ...waiting, company: 'none' }]
      return outcome === TENANT_BUSY ? [{ ...waiting, company: 'own' }] : []
    })
    this.#letGo(group, again)
    await answerAll(group, outcomes)
  }

  /** The tenants of a group may come again, with what is to be tried again in front. */
  #letGo(group: readonly Waiting<Piece, Result>[], again: readonly Waiting<Piece, Result>[]): void {
    const { tenantOf } = this.#options
    const againOf = Map.groupBy(again, ({ piece }) => tenantOf(piece))
    for (const tenant of new Set(group.map(({ piece }) => tenantOf(piece)))) {
      const line = [...(againOf.get(tenant) ?? []), ...(this.#behind.get(tenant) ?? [])]
      this.#behind.delete(tenant)
      if (line.length > 0) this.#lines.set(tenant, line)
    }
    this.#start()
  }
}

function placeOf(company: Company): 'together' | 'apart' {
  return company === 'any' ? 'together' : 'apart'
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
