/** What became of one piece: what it gave, why it was refused, or that its tenant could not be worked on. */
export type Outcome<Result> = { result: Result } | { error: unknown } | typeof TENANT_BUSY

/** Somebody else has what the tenant's pieces need: they are worked on again. */
export const TENANT_BUSY = Symbol('tenant busy')

export interface TenantGroupsOptions<Piece, Result> {
  tenantOf(piece: Piece): string
  /**
   * Works on pieces together, each tenant's in the order in which they came, and returns their outcomes in
   * the order of the pieces. A throw means that nothing was done.
   */
  work(pieces: readonly Piece[], manner: Manner): Promise<Outcome<Result>[]>
  /**
   * Waits until no other process is in its turn, takes what there is by then and works on it, as `work` does
   * on pieces `together`. Throws without taking when the turn does not come.
   */
  workInTurn(take: (turn: Turn) => readonly Piece[]): Promise<TurnWork<Result>>
  /** What it was that `work` or `workInTurn` threw. */
  faultOf(error: unknown): Fault
  /** Why a piece is refused that waited too long for its tenant's place. */
  tooLate(): Error
  /** A tenant that is to go by itself waits about so long for its place. */
  ownPlaceMsMax: number
  /** By a monotonic clock in milliseconds. */
  now?: () => number
  /** Groups at a time. */
  groupsMax: Record<Manner, number>
  piecesMax: number
}

/**
 * How pieces are worked on. `together`: several tenants', and nobody is waited for whom somebody else has.
 * `apart`: a single tenant's, for which it waits a moment. `patient`: the same, for as long as it takes.
 */
export type Manner = 'together' | 'apart' | 'patient'

/**
 * What failed: that which `all` need; one of several tenants, `held` up by somebody else, which a patient one
 * never says; the `turn`, which did not come since another process hangs in its own; or one of the `pieces`.
 */
export type Fault = 'all' | 'held' | 'turn' | 'pieces'

export interface Turn {
  /** Whether it came at once: no other process was in its turn. */
  wasFree: boolean
}

export interface TurnWork<Result> {
  outcomes: Outcome<Result>[]
  /** Others waited for this turn much longer than one takes. */
  wasSlow: boolean
}

/** Whom a piece may share a group with: anybody, its own tenant, or nobody. */
type Company = 'any' | 'own' | 'none'

/** How a piece is tried next. */
interface Tries {
  company: Company
  /** Whether it is waited for as long as it takes, once a moment was too short. */
  isPatient: boolean
}

interface Waiting<Piece, Result> extends Tries {
  piece: Piece
  /** How often its tenant was busy where others' groups are over: in turns, and where there are none. */
  busyTimes: number
  /** When its tenant was to go by itself, and not with others any more; null before that. */
  ownSinceMs: number | null
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

type Change<Piece, Result> = (waiting: Waiting<Piece, Result>) => Waiting<Piece, Result>

const TOGETHER: Tries = { company: 'any', isPatient: false }
const PATIENT: Tries = { company: 'own', isPatient: true }

/** So many groups are worked on in turn before it is tried again without. */
const TURNS = 64
/** After a turn that did not come, so many groups that find tenants busy do without: seconds of a flood. */
const GROUPS_WITHOUT_TURN = 1_000
/** One slow turn may be the machine's; so many in a row are the process's own. */
const SLOW_TURNS_MAX = 2
/** Then so many groups that find tenants busy do without, which are seconds of a slow process. */
const GROUPS_AFTER_SLOW = 64
/** A tenant that is busy so often is held by somebody who takes no turns. */
const BUSY_TIMES_MAX = 3

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
 * goes by itself, and is waited for there: for a moment, and then for as long as it takes, in a place where
 * only such tenants are. Where those are many, who has not had its place soon is refused. A process whose own
 * turns are slow goes without.
 *
 * How many wait is bounded by whoever lets them in.
 */
export class TenantGroups<Piece, Result> {
  readonly #options: TenantGroupsOptions<Piece, Result>
  /** The pieces that wait of tenants that are in no group, in the order in which the tenants come. */
  readonly #lines = new Map<string, Waiting<Piece, Result>[]>()
  /** The pieces that wait of tenants that are in a group. */
  readonly #behind = new Map<string, Waiting<Piece, Result>[]>()
  readonly #underWay: Record<Manner, number> = { together: 0, apart: 0, patient: 0 }
  #isInTurn = false
  /** Groups that are still to be worked on in turn. */
  #turnsLeft = 0
  /** Groups that find tenants busy and are still to do without a turn. */
  #withoutTurn = 0
  /** Slow turns since one that was not. */
  #slowTurns = 0
  #isStarting = false

  constructor(options: TenantGroupsOptions<Piece, Result>) {
    this.#options = options
  }

  /** What came of the piece. Throws why it was refused, or what `work` threw for it alone. */
  join(piece: Piece): Promise<Result> {
    return new Promise((resolve, reject) => {
      const tenant = this.#options.tenantOf(piece)
      const tries = { company: 'any' as const, isPatient: false, busyTimes: 0, ownSinceMs: null }
      const waiting: Waiting<Piece, Result> = { piece, ...tries, resolve, reject }
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
    this.#refuseLate()
    if (this.#turnsLeft > 0 && !this.#isInTurn && this.#tenantsForAny().length > 0) {
      const group: Waiting<Piece, Result>[] = []
      this.#isInTurn = true
      this.#runInTurn(group).catch(rejectAll(group))
    }
    for (;;) {
      const group = this.#take()
      const [first] = group
      if (first === undefined) return
      this.#underWay[mannerOf(first)] += 1
      this.#run(group, first).catch(rejectAll(group))
    }
  }

  /**
   * Refuses what has waited for a place by itself for too long: with many tenants that are held up at once,
   * their places come by slowly. No timer: each place is taken for a bounded time, and looks when it is over.
   */
  #refuseLate(): void {
    const lateMs = this.#nowMs() - this.#options.ownPlaceMsMax
    for (const [tenant, line] of this.#lines) {
      const [head] = line
      if (head === undefined || (head.ownSinceMs ?? lateMs) >= lateMs) continue
      const late = line.filter(({ ownSinceMs }) => ownSinceMs !== null && ownSinceMs < lateMs)
      const left = line.filter((waiting) => !late.includes(waiting))
      if (left.length > 0) this.#lines.set(tenant, left)
      else this.#lines.delete(tenant)
      for (const { reject } of late) reject(this.#options.tooLate())
    }
  }

  #nowMs(): number {
    return this.#options.now?.() ?? performance.now()
  }

  /** Takes the next group that there is a place for off the lines. */
  #take(): Waiting<Piece, Result>[] {
    for (const [tenant, [head]] of this.#lines) {
      if (head === undefined || !this.#hasPlaceFor(mannerOf(head))) continue
      return this.#takeOf(head.company === 'any' ? this.#tenantsForAny() : [tenant], head)
    }
    return []
  }

  #hasPlaceFor(manner: Manner): boolean {
    if (manner === 'together' && this.#turnsLeft > 0) return false
    return this.#underWay[manner] < this.#options.groupsMax[manner]
  }

  #takeOf(tenants: readonly string[], like: Tries): Waiting<Piece, Result>[] {
    const group: Waiting<Piece, Result>[] = []
    const taken = new Map<string, number>()
    const piecesMax = like.company === 'none' ? 1 : this.#options.piecesMax
    for (let isMore = true; isMore; ) {
      isMore = false
      for (const tenant of tenants) {
        const count = taken.get(tenant) ?? 0
        const next = this.#lines.get(tenant)?.[count]
        if (next === undefined || group.length >= piecesMax) continue
        if (next.company !== like.company || next.isPatient !== like.isPatient) continue
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

  async #run(group: readonly Waiting<Piece, Result>[], like: Tries): Promise<void> {
    const manner = mannerOf(like)
    const pieces = group.map(({ piece }) => piece)
    let hasFailed = false
    const outcomes = await this.#options.work(pieces, manner).catch((error: unknown) => {
      hasFailed = true
      return this.#outcomesOfFailed(group, error)
    })
    this.#underWay[manner] -= 1
    if (manner === 'together' && outcomes.includes(TENANT_BUSY)) this.#noteBusy()
    // Whoever has the tenant may be in its turn.
    const isTold = manner !== 'together' || this.#turnsLeft === 0
    this.#letGo(group, outcomes, {
      ofBusy: (busy) => (isTold ? afterBusy(busy) : busy),
      // What was waited for in vain keeps nobody else waiting.
      ofBehind: (behind) => (hasFailed && like.isPatient ? { ...behind, ...PATIENT } : behind),
    })
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
      group.push(...this.#takeOf(this.#tenantsForAny(), TOGETHER))
      return group.map(({ piece }) => piece)
    }
    const { outcomes, ...ended } = await this.#options.workInTurn(take).then(
      ({ outcomes, wasSlow }) => ({ outcomes, wasSlow, fault: null }),
      (error: unknown) => ({
        outcomes: this.#outcomesOfFailed(group, error),
        wasSlow: false,
        fault: this.#options.faultOf(error),
      }),
    )
    this.#letGo(group, outcomes, { ofBusy: afterBusy, ofBehind: (behind) => behind })
    this.#isInTurn = false
    this.#noteTurn(turn, { ...ended, pieces: group.length })
    this.#start()
    await answerAll(group, outcomes)
  }

  #noteTurn(
    turn: Turn | null,
    { pieces, wasSlow, fault }: { pieces: number; wasSlow: boolean; fault: Fault | null },
  ): void {
    // What comes alone while nobody else works is not to wait for a turn first.
    const wasIdle = turn?.wasFree === true && pieces <= 1 && this.#lines.size === 0
    this.#turnsLeft = turn === null || wasIdle ? 0 : this.#turnsLeft - 1
    if (turn === null && fault === 'turn') this.#goWithoutTurn(GROUPS_WITHOUT_TURN)
    if (turn === null || fault !== null) return
    this.#slowTurns = wasSlow ? this.#slowTurns + 1 : 0
    if (this.#slowTurns >= SLOW_TURNS_MAX) this.#goWithoutTurn(GROUPS_AFTER_SLOW)
  }

  #goWithoutTurn(groups: number): void {
    this.#turnsLeft = 0
    this.#withoutTurn = groups
  }

  #outcomesOfFailed(
    group: readonly Waiting<Piece, Result>[],
    error: unknown,
  ): (Outcome<Result> | 'own' | 'none')[] {
    const fault = this.#options.faultOf(error)
    const isPatient = group[0]?.isPatient === true
    if (fault === 'held' && !isPatient)
      return group.map(({ company }) => (company === 'any' ? 'own' : TENANT_BUSY))
    const isOver = group.length === 1 || fault === 'all' || fault === 'held'
    return group.map(() => (isOver ? { error } : 'none'))
  }

  /**
   * The tenants of a group may come again, with what is to be tried again in front: what is to be by itself,
   * and of busy tenants what `ofBusy` makes of it. What came meanwhile is behind.
   */
  #letGo(
    group: readonly Waiting<Piece, Result>[],
    outcomes: readonly (Outcome<Result> | 'own' | 'none')[],
    { ofBusy, ofBehind }: Record<'ofBusy' | 'ofBehind', Change<Piece, Result>>,
  ): void {
    const { tenantOf } = this.#options
    const again = group.flatMap((waiting, at): Waiting<Piece, Result>[] => {
      const outcome = outcomes[at]
      if (outcome === 'own' || outcome === 'none') return [{ ...waiting, company: outcome }]
      return outcome === TENANT_BUSY ? [ofBusy(waiting)] : []
    })
    const nowMs = this.#nowMs()
    const since: Change<Piece, Result> = (waiting) =>
      waiting.company === 'own' ? { ...waiting, ownSinceMs: waiting.ownSinceMs ?? nowMs } : waiting
    const againOf = Map.groupBy(again, ({ piece }) => tenantOf(piece))
    for (const tenant of new Set(group.map(({ piece }) => tenantOf(piece)))) {
      const line = [...(againOf.get(tenant) ?? []), ...(this.#behind.get(tenant) ?? []).map(ofBehind)]
      this.#behind.delete(tenant)
      if (line.length > 0) this.#lines.set(tenant, line.map(since))
    }
  }
}

function mannerOf({ company, isPatient }: Tries): Manner {
  if (company === 'any') return 'together'
  return isPatient ? 'patient' : 'apart'
}

/** How that is tried next whose tenant was busy. */
function afterBusy<Piece, Result>(busy: Waiting<Piece, Result>): Waiting<Piece, Result> {
  if (busy.company !== 'any') return { ...busy, isPatient: true }
  const busyTimes = busy.busyTimes + 1
  return { ...busy, busyTimes, company: busyTimes < BUSY_TIMES_MAX ? 'any' : 'own' }
}

function rejectAll<Piece, Result>(group: readonly Waiting<Piece, Result>[]): (error: unknown) => void {
  return (error) => {
    for (const { reject } of group) reject(error)
  }
}

async function answerAll<Piece, Result>(
  group: readonly Waiting<Piece, Result>[],
  outcomes: readonly (Outcome<Result> | 'own' | 'none' | undefined)[],
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
