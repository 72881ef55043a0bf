import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { inOrderOfFilling } from '../delivery.ts'
import { switchWaitMsMax } from '../loaded-slots.ts'
import { RunningCounts } from '../running-counts.ts'
import type { PoolRules } from '../simulation/simulated-pool.ts'
import { type Run, Simulation, type Watch } from '../simulation/simulation.ts'
import { VirtualTime } from '../virtual-time.ts'
import type {
  AccountOutcome,
  BacklogSample,
  Demand,
  DemandedVideo,
  DemandOutcome,
  EndedVideo,
  PlannedPool,
  PlannedSettings,
  PoolOutcome,
  TierOutcome,
  VideoKind,
} from './demand.ts'
import { costsOf, type DemandLine, DemandVideo, type Submitter } from './demand-video.ts'
import { FlexDesk } from './flex-desk.ts'
import { Numbers } from './numbers.ts'

const DEFAULT_SETTINGS: Required<PlannedSettings> = {
  accountSharePercent: 75,
  switchWaitMsMax: 300_000,
  flexRunMsMin: 30_000,
  nearlyFreeMs: NEARLY_FREE_MS,
}

/**
 * What comes of a demand: every video goes through the rules of the gate, in simulated time. The same demand
 * gives the same outcome, to the last digit. Throws RangeError for one that cannot be: a pool without slots,
 * a pace that is not above 0, videos that are not in order.
 */
export function simulateDemand(demand: Demand): DemandOutcome {
  return new DemandRun(demand).run()
}

type TierSums = Omit<TierOutcome, 'waitsMs' | 'turnaroundsMs'> & { waitsMs: Numbers; turnaroundsMs: Numbers }

class DemandRun implements Watch<DemandVideo> {
  readonly #demand: Demand
  readonly #pools: readonly PlannedPool[]
  readonly #simulation: Simulation<DemandVideo>
  readonly #submitters = new Map<string, Map<string, Submitter>>()
  readonly #tiers: Record<ServiceTier, TierSums>
  readonly #poolSums: readonly PoolOutcome[]
  readonly #accounts = new Map<string, AccountOutcome>()
  readonly #kinds: ReadonlyMap<VideoKind, number>
  readonly #backlog: BacklogSample[] = []
  readonly #flex: FlexDesk | null
  #nextSampleMs: number
  #submitterCount = 0
  #videoCount = 0
  #lastEndMs = 0

  constructor(demand: Demand) {
    requirePossible(demand)
    const settings = { ...DEFAULT_SETTINGS, ...demand.settings }
    this.#demand = demand
    this.#kinds = new Map(demand.kinds.map((kind, number) => [kind, number]))
    this.#nextSampleMs = demand.sampleEveryMs === undefined ? Number.POSITIVE_INFINITY : 0
    this.#pools = inOrderOfFilling(
      demand.pools
        .toSorted((a, b) => (a.pool < b.pool ? -1 : 1))
        .map((pool) => ({ ...pool, untaken: 0, capabilities: modelsOf(pool, demand.kinds) })),
    )
    this.#simulation = new Simulation({
      pools: this.#pools.map((pool) => rulesOf(pool, settings.switchWaitMsMax)),
      time: new VirtualTime(),
      running: new RunningCounts([]),
      accountSharePercent: settings.accountSharePercent,
      flexRunMsMin: settings.flexRunMsMin,
      nearlyFreeMs: settings.nearlyFreeMs,
      watch: this,
    })
    this.#flex =
      demand.flex === undefined
        ? null
        : new FlexDesk(demand.flex, this.#simulation, (video) => this.expired(video, video.expiresAtMs, null))
    this.#tiers = { priority: noTierSums(), standard: noTierSums(), flex: noTierSums() }
    this.#poolSums = this.#pools.map(({ slots }) => ({ ...NO_POOL_SUMS, slots }))
  }

  run(): DemandOutcome {
    const { videos, horizonMs } = this.#demand
    let lastMs = 0
    for (const video of videos) {
      if (!(video.atMs >= lastMs))
        throw new RangeError(`video ${this.#videoCount} comes at ${video.atMs}, after one at ${lastMs}`)
      lastMs = video.atMs
      if (lastMs >= horizonMs) break
      this.#advance(lastMs)
      this.#submit(video)
    }
    if (Number.isFinite(horizonMs)) this.#advance(horizonMs)
    else this.#drain()
    return this.#outcome()
  }

  started(video: DemandVideo, { slot, startedAtMs, switchMs }: Run<DemandVideo>): void {
    if (video.of.tier === 'flex') this.#flex?.price(video)
    // Its slot is given away a moment before it is free.
    if (startedAtMs >= this.#demand.horizonMs) return
    const tier = this.#tiers[video.of.tier]
    tier.queued -= 1
    tier.running += 1
    video.pool = slot?.pool ?? null
    if (switchMs > 0) this.#poolOf(slot).switches += 1
    if (video.startedAtMs !== null) return
    const waitMs = startedAtMs - video.demanded.atMs
    video.startedAtMs = startedAtMs
    tier.waitsMs.push(waitMs)
    const { outcome } = video.of.submitter
    outcome.longestWaitMs = Math.max(outcome.longestWaitMs, waitMs)
  }

  completed(video: DemandVideo, run: Run<DemandVideo>): void {
    const tier = this.#tiers[video.of.tier]
    const { tokens } = video.of.kind
    this.#countRun(video, run, run.endsAtMs)
    tier.completed += 1
    tier.running -= 1
    tier.tokens += tokens
    tier.turnaroundsMs.push(run.endsAtMs - video.demanded.atMs)
    for (const sums of [this.#poolOf(run.slot), video.of.submitter.outcome]) {
      sums.completed += 1
      sums.tokens += tokens
    }
    this.#noteEnded(video, 'completed', run.endsAtMs)
  }

  yielded(video: DemandVideo, run: Run<DemandVideo>): void {
    const tier = this.#tiers[video.of.tier]
    this.#countRun(video, run, run.endsAtMs)
    video.yields += 1
    tier.yields += 1
    tier.running -= 1
    tier.queued += 1
    this.#poolOf(run.slot).yields += 1
  }

  expired(video: DemandVideo, atMs: number, run: Run<DemandVideo> | null): void {
    const tier = this.#tiers[video.of.tier]
    this.#flex?.forget(video)
    if (run !== null) this.#countRun(video, run, atMs)
    tier.expired += 1
    if (run === null) tier.queued -= 1
    else tier.running -= 1
    this.#noteEnded(video, 'expired', atMs)
  }

  #submit(demanded: DemandedVideo): void {
    const of = this.#lineOf(demanded)
    const video = new DemandVideo(this.#videoCount, demanded, of)
    this.#videoCount += 1
    const tier = this.#tiers[demanded.tier]
    tier.submitted += 1
    tier.queued += 1
    of.submitter.outcome.submitted += 1
    if (this.#flex !== null && demanded.tier === 'flex') this.#flex.submit(video)
    else this.#simulation.queue(of.line, video)
  }

  #advance(untilMs: number): void {
    for (;;) {
      const [sampleMs, flexMs] = [this.#nextSampleMs, this.#flex?.nextAtMs ?? Number.POSITIVE_INFINITY]
      const nextMs = Math.min(sampleMs, flexMs)
      if (nextMs > untilMs || nextMs >= this.#demand.horizonMs) break
      this.#simulation.runUntil(nextMs)
      if (flexMs === nextMs) this.#flex?.look()
      if (sampleMs === nextMs) this.#sample()
    }
    this.#simulation.runUntil(untilMs)
  }

  /** When something happens next; infinite = nothing will any more. */
  #nextAtMs(): number {
    const { nextAtMs } = this.#simulation
    if (this.#flex === null || (nextAtMs === Number.POSITIVE_INFINITY && !this.#flex.hasWaiting))
      return nextAtMs
    return Math.min(nextAtMs, this.#flex.nextAtMs)
  }

  #drain(): void {
    for (let atMs = this.#nextAtMs(); atMs < Number.POSITIVE_INFINITY; atMs = this.#nextAtMs())
      this.#advance(atMs)
  }

  #sample(): void {
    const { priority, standard, flex } = this.#tiers
    this.#backlog.push({
      atMs: this.#nextSampleMs,
      queued: { priority: priority.queued, standard: standard.queued, flex: flex.queued },
      busy: Object.fromEntries(
        this.#pools.map(({ pool }, number) => {
          return [pool, this.#simulation.pools[number]?.busy ?? 0]
        }),
      ),
    })
    this.#nextSampleMs += this.#demand.sampleEveryMs ?? Number.POSITIVE_INFINITY
  }

  #countRun(video: DemandVideo, run: Run<DemandVideo>, endedAtMs: number): void {
    const { slot, startedAtMs, switchMs } = run
    const sums = this.#poolOf(slot)
    const busyMs = endedAtMs - startedAtMs
    sums.busyMs += busyMs
    sums.switchedMs += Math.min(busyMs, switchMs)
    video.deviceMs += busyMs
    video.of.submitter.outcome.deviceMs += busyMs
    this.#lastEndMs = endedAtMs
    if (slot !== null && this.#demand.onRun !== undefined)
      this.#demand.onRun({
        number: video.number,
        pool: this.#pools[slot.pool]?.pool ?? '',
        slot: slot.number,
        startedAtMs,
        switchMs: Math.min(busyMs, switchMs),
        endedAtMs,
      })
  }

  #noteEnded(video: DemandVideo, outcome: EndedVideo['outcome'], endedAtMs: number): void {
    this.#demand.onEnded?.({
      video: video.demanded,
      number: video.number,
      outcome,
      startedAtMs: video.startedAtMs,
      pool: video.pool === null ? null : (this.#pools[video.pool]?.pool ?? null),
      endedAtMs,
      deviceMs: video.deviceMs,
      yields: video.yields,
      multiplierBps: video.multiplierBps,
    })
  }

  #outcome(): DemandOutcome {
    const { horizonMs } = this.#demand
    const endedAtMs = Number.isFinite(horizonMs) ? horizonMs : this.#lastEndMs
    for (const run of this.#simulation.runs.flatMap(({ all }) => all)) {
      if (run.video === null) continue
      const hasStarted = run.startedAtMs < endedAtMs
      if (hasStarted) this.#countRun(run.video, run, endedAtMs)
      this.#noteEnded(run.video, hasStarted ? 'running' : 'queued', endedAtMs)
    }
    if (this.#demand.onEnded !== undefined)
      for (const line of this.#simulation.lines.values())
        for (const video of line) this.#noteEnded(video, 'queued', endedAtMs)
    if (this.#demand.onEnded !== undefined)
      for (const video of this.#flex ?? []) this.#noteEnded(video, 'queued', endedAtMs)
    const [priority, standard, flex] = SERVICE_TIERS.map((tier) => tierOutcome(this.#tiers[tier]))
    return {
      endedAtMs,
      tiers: { priority, standard, flex } as DemandOutcome['tiers'],
      pools: new Map(
        this.#pools.map(({ pool, slots }, number) => [
          pool,
          { ...this.#sumsOf(number), availableMs: slots * endedAtMs },
        ]),
      ),
      accounts: this.#accounts,
      backlog: this.#backlog,
    }
  }

  #lineOf({ accountId, keyId = '', tier, kind }: DemandedVideo): DemandLine {
    const submitter = this.#submitters.get(accountId)?.get(keyId) ?? this.#addSubmitter(accountId, keyId)
    const lines = submitter.lines.get(kind) ?? []
    submitter.lines.set(kind, lines)
    const tierNumber = SERVICE_TIERS.indexOf(tier)
    const known = lines[tierNumber]
    if (known !== undefined) return known
    const line = this.#addLine(submitter, tier, kind)
    lines[tierNumber] = line
    return line
  }

  #addLine(submitter: Submitter, tier: ServiceTier, kind: VideoKind): DemandLine {
    const kindNumber = this.#kinds.get(kind)
    if (kindNumber === undefined) throw new RangeError(`${kind.name} is none of the kinds of the demand`)
    const queueKey = `${kindNumber} ${tier} ${submitter.number}`
    const paces = this.#pools.map(({ pool }) => kind.paces[pool] ?? null)
    const line = this.#simulation.addLine({
      queueKey,
      keyId: submitter.keyId,
      presence: this.#simulation.presenceOf(submitter.accountId),
      model: kind.model,
      tier,
      isFlex: tier === 'flex',
      isBarred: submitter.accountRunningMax === 0 || submitter.keyRunningMax === 0,
      pools: paces.flatMap((pace, number) => (pace === null ? [] : [number])),
    })
    return { line, submitter, tier, kind, queueKey, paces, costsMs: costsOf(paces, kind.steps) }
  }

  #addSubmitter(accountId: string, keyId: string): Submitter {
    const account = this.#demand.accounts?.find(({ id }) => id === accountId)
    const outcome = this.#accounts.get(accountId) ?? { ...NO_ACCOUNT_SUMS }
    this.#accounts.set(accountId, outcome)
    const submitter = {
      number: this.#submitterCount,
      accountId,
      keyId: `${accountId} ${keyId}`,
      weight: account?.weight ?? 100,
      accountRunningMax: account?.runningMax ?? null,
      keyRunningMax: account?.keys?.find(({ id }) => id === keyId)?.runningMax ?? null,
      outcome,
      lines: new Map(),
    }
    this.#submitterCount += 1
    const keys = this.#submitters.get(accountId) ?? new Map<string, Submitter>()
    this.#submitters.set(accountId, keys.set(keyId, submitter))
    return submitter
  }

  #poolOf(slot: { pool: number } | null): PoolOutcome {
    return this.#sumsOf(slot?.pool ?? Number.NaN)
  }

  #sumsOf(number: number): PoolOutcome {
    const sums = this.#poolSums[number]
    if (sums === undefined) throw new RangeError(`there is no pool ${number}`)
    return sums
  }
}

const NO_POOL_SUMS: PoolOutcome = {
  slots: 0,
  availableMs: 0,
  busyMs: 0,
  switchedMs: 0,
  switches: 0,
  yields: 0,
  completed: 0,
  tokens: 0,
}

const NO_ACCOUNT_SUMS: AccountOutcome = {
  submitted: 0,
  completed: 0,
  tokens: 0,
  deviceMs: 0,
  longestWaitMs: 0,
}

function noTierSums(): TierSums {
  const counts = { submitted: 0, completed: 0, expired: 0, running: 0, queued: 0, yields: 0, tokens: 0 }
  return { ...counts, waitsMs: new Numbers(), turnaroundsMs: new Numbers() }
}

function tierOutcome(sums: TierSums): TierOutcome {
  return { ...sums, waitsMs: sums.waitsMs.rising(), turnaroundsMs: sums.turnaroundsMs.rising() }
}

function modelsOf({ pool }: PlannedPool, kinds: readonly VideoKind[]): string[] {
  return [...new Set(kinds.flatMap(({ model, paces }) => (paces[pool] === undefined ? [] : [model])))]
}

function rulesOf(planned: PlannedPool, settingMs: number): PoolRules {
  const { pool, slots, switchMs = 0, costPerHourMicros = null } = planned
  return {
    pool,
    queue: pool,
    slots,
    costPerHourMicros,
    loadedFirst: switchMs === 0 ? null : [],
    switchMs,
    switchWaitMsMax: switchWaitMsMax(switchMs, settingMs),
  }
}

function requirePossible({ pools, kinds }: Demand): void {
  if (new Set(pools.map(({ pool }) => pool)).size < pools.length)
    throw new RangeError('two pools have the same name')
  for (const { pool, slots } of pools)
    if (!Number.isSafeInteger(slots) || slots < 0)
      throw new RangeError(`pool ${pool} has ${slots} slots, and a whole number from 0 on is allowed`)
  for (const { name, steps, paces } of kinds) {
    if (!Number.isSafeInteger(steps) || steps < 1)
      throw new RangeError(`${name} has ${steps} steps, and a whole number from 1 on is allowed`)
    for (const [pool, { stepMs, overheadMs }] of Object.entries(paces))
      if (!(stepMs > 0 && overheadMs >= 0 && Number.isFinite(stepMs + overheadMs)))
        throw new RangeError(`${name} has no possible pace on pool ${pool}: a step takes more than 0 ms`)
  }
}
