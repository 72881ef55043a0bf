import { type Fact, type Facts, WASTE_CAUSES } from '@sluice/shared/economics/facts'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { EtaRecord } from '../forecast/eta-outcomes.ts'
import { PoolGauges } from './pool-gauges.ts'
import type { Installation } from './read-installation.ts'

const HOUR_MS = 3_600_000
const MICROS = 1_000_000
const inSeconds = (ms: bigint) => Number(ms) / 1_000

/** Counters that are one fact each, by pool. */
const FACT_COUNTERS: readonly { name: string; help: string; fact: Fact; unit?: (value: bigint) => number }[] =
  [
    { name: 'sluice_charged_tokens_total', help: 'Generated tokens charged.', fact: 'charged_tokens' },
    { name: 'sluice_gpu_busy_seconds_total', help: 'GPU time in use.', fact: 'busy_gpu_ms', unit: inSeconds },
    {
      name: 'sluice_gpu_available_seconds_total',
      help: 'GPU time of ready slots.',
      fact: 'available_gpu_ms',
      unit: inSeconds,
    },
    {
      name: 'sluice_gpu_unpriced_seconds_total',
      help: 'Of that, of workers that declared no cost.',
      fact: 'unpriced_gpu_ms',
      unit: inSeconds,
    },
    {
      name: 'sluice_gpu_work_seconds_total',
      help: 'GPU time of the attempts at ended videos.',
      fact: 'work_gpu_ms',
      unit: inSeconds,
    },
    {
      name: 'sluice_gpu_switching_seconds_total',
      help: 'Of that, spent on switching models.',
      fact: 'switching_gpu_ms',
      unit: inSeconds,
    },
    { name: 'sluice_model_switches_total', help: 'Attempts that switched models first.', fact: 'switches' },
    {
      name: 'sluice_queue_wait_seconds_total',
      help: 'From submission to first dispatch, of ended videos.',
      fact: 'queue_wait_ms',
      unit: inSeconds,
    },
    {
      name: 'sluice_queue_waits_total',
      help: 'Ended videos in sluice_queue_wait_seconds_total.',
      fact: 'queue_waits',
    },
    {
      name: 'sluice_delivery_seconds_total',
      help: "From dispatch to the worker's first word, of attempts.",
      fact: 'delivery_ms',
      unit: inSeconds,
    },
    {
      name: 'sluice_deliveries_total',
      help: 'Attempts in sluice_delivery_seconds_total.',
      fact: 'deliveries',
    },
    {
      name: 'sluice_eta_compared_total',
      help: 'Completed videos compared with the time first forecast for them.',
      fact: 'eta_compared',
    },
    {
      name: 'sluice_eta_within_p90_total',
      help: 'Of those, the ones that came within the p90 of their first forecast.',
      fact: 'eta_within_p90',
    },
  ]

/** What is there now. */
function createGauges(registry: Registry) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  return {
    videos: gauge('sluice_videos', 'Videos that have not ended.', ['status', 'pool', 'tier']),
    workers: gauge('sluice_workers', 'Workers heard of within the lease.', ['pool']),
    slots: gauge('sluice_slots', 'Ready slots of these workers, and busy ones.', ['pool', 'state']),
    gpus: gauge('sluice_gpus', 'GPUs of these slots.', ['pool', 'state']),
    queuedGpuSeconds: gauge(
      'sluice_queued_gpu_seconds',
      'GPU time that queued videos will take, at the pace that was measured.',
      ['pool'],
    ),
    workersWanted: gauge(
      'sluice_workers_wanted',
      'Workers that would make what is queued and running in SLUICE_QUEUE_SECONDS.',
      ['pool'],
    ),
    attemptsOverdue: gauge(
      'sluice_attempts_overdue',
      'Attempts without a worker, or past the time of their video, that could not be recovered yet.',
      [],
    ),
    gateLed: gauge('sluice_gate_led', '1 while any process leads the gate.', []),
    etaErrorRatio: gauge(
      'sluice_eta_error_ratio',
      'Of the newest forecasts: the median error of p50, as a share of the time that it took.',
      ['pool'],
    ),
    etaWithinP90: gauge('sluice_eta_within_p90_ratio', 'Of the newest forecasts: the share within p90.', [
      'pool',
    ]),
    etaSeconds: gauge(
      'sluice_eta_mean_seconds',
      'Of the newest forecasts: how long videos wait for their device and are on it, foretold and real.',
      ['pool', 'part', 'what'],
    ),
    untakenInARow: gauge(
      'sluice_untaken_in_a_row',
      'Dispatches in a row that no worker of the pool took; 0 once one is taken.',
      ['pool'],
    ),
    webhooksPending: gauge(
      'sluice_webhook_deliveries_pending',
      'Webhook deliveries that wait or are tried again.',
      [],
    ),
    payments: gauge('sluice_payments', 'Payments that nobody is credited for, by why.', ['status']),
    paymentsOwed: gauge(
      'sluice_payments_owed',
      'What was paid back of payments and is spent already, in units of the currency.',
      ['currency'],
    ),
    readSeconds: gauge(
      'sluice_installation_read_seconds',
      'How long the figures of the installation took to read.',
      [],
    ),
  }
}

/** Totals since the beginning that have labels of their own; the others are in FACT_COUNTERS. */
function createCounters(registry: Registry) {
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers: [registry] })
  return {
    ended: counter('sluice_videos_ended_total', 'Videos that ended.', ['pool', 'outcome']),
    generated: counter('sluice_generated_tokens_total', 'Tokens generated by all attempts at ended videos.', [
      'pool',
    ]),
    wasted: counter('sluice_wasted_tokens_total', 'Generated tokens nobody paid for.', ['pool', 'cause']),
    revenue: counter('sluice_revenue_total', 'Charged, as the ledger has it, in units of the currency.', [
      'pool',
      'currency',
    ]),
    promises: counter('sluice_promises_total', 'Promised times of ended videos.', ['pool', 'outcome']),
    rebates: counter('sluice_rebates_total', 'Given back for missed promises, in units of the currency.', [
      'pool',
      'currency',
    ]),
    cost: counter('sluice_gpu_cost_total', 'What GPUs cost, as far as their workers declared it.', [
      'pool',
      'currency',
    ]),
    untaken: counter('sluice_untaken_dispatches_total', 'Dispatches that no worker of the pool took.', [
      'pool',
    ]),
    etaError: counter(
      'sluice_eta_error_seconds_total',
      'How much earlier or later than forecast they came.',
      ['pool', 'direction'],
    ),
  }
}

/** The installation's figures as metrics; `publish` replaces one reading by the next. */
export class InstallationMetrics {
  readonly #currency: string
  readonly #gauges: ReturnType<typeof createGauges>
  readonly #poolGauges: PoolGauges
  readonly #counters: ReturnType<typeof createCounters>
  readonly #factCounters: readonly { counter: Counter<'pool'>; amountOf: (facts: Facts) => number }[]

  constructor(registry: Registry, currency: string) {
    this.#currency = currency
    this.#gauges = createGauges(registry)
    this.#poolGauges = new PoolGauges(registry, currency)
    this.#counters = createCounters(registry)
    this.#factCounters = FACT_COUNTERS.map(({ name, help, fact, unit = Number }) => ({
      counter: new Counter({ name, help, labelNames: ['pool'], registers: [registry] }),
      amountOf: (facts) => unit(facts[fact]),
    }))
  }

  publish(installation: Installation): void {
    this.#reset()
    const {
      videos,
      workers,
      slots,
      gpus,
      queuedGpuSeconds,
      workersWanted,
      gateLed,
      untakenInARow,
      attemptsOverdue,
      webhooksPending,
      readSeconds,
    } = this.#gauges
    for (const { status, pool, tier, count } of installation.videos) videos.set({ status, pool, tier }, count)
    this.#poolGauges.publish(installation.live)
    for (const pool of installation.live.pools) {
      workers.set({ pool: pool.pool }, pool.workers)
      slots.set({ pool: pool.pool, state: 'ready' }, pool.slots)
      slots.set({ pool: pool.pool, state: 'busy' }, pool.busySlots)
      gpus.set({ pool: pool.pool, state: 'ready' }, pool.gpus)
      gpus.set({ pool: pool.pool, state: 'busy' }, pool.busyGpus)
    }
    for (const demand of installation.demand) {
      queuedGpuSeconds.set({ pool: demand.pool }, demand.queuedGpuSeconds)
      workersWanted.set({ pool: demand.pool }, demand.workersWanted)
    }
    attemptsOverdue.set(installation.attemptsOverdue)
    gateLed.set(installation.isGateLed ? 1 : 0)
    for (const { pool, total, inARow } of installation.untaken) {
      untakenInARow.set({ pool }, inARow)
      this.#counters.untaken.inc({ pool }, total)
    }
    for (const record of installation.etas) this.#publishEtas(record)
    webhooksPending.set(installation.webhooksPending)
    this.#publishPayments(installation.payments)
    readSeconds.set(installation.readMs / 1_000)
    for (const [pool, facts] of installation.totals) this.#publishFacts(pool, facts)
  }

  #publishEtas({ pool, errorRatio, withinP90, wait, device }: EtaRecord): void {
    const { etaErrorRatio, etaWithinP90, etaSeconds } = this.#gauges
    etaErrorRatio.set({ pool }, errorRatio)
    etaWithinP90.set({ pool }, withinP90)
    for (const [part, seconds] of Object.entries({ wait, device })) {
      etaSeconds.set({ pool, part, what: 'foretold' }, seconds.foretold)
      etaSeconds.set({ pool, part, what: 'real' }, seconds.real)
    }
  }

  #publishPayments({ pending, unassigned, owedMicros }: Installation['payments']): void {
    this.#gauges.payments.set({ status: 'pending' }, pending)
    this.#gauges.payments.set({ status: 'unassigned' }, unassigned)
    this.#gauges.paymentsOwed.set({ currency: this.#currency }, Number(owedMicros) / MICROS)
  }

  #reset(): void {
    const metrics = [...Object.values(this.#gauges), ...Object.values(this.#counters)]
    for (const metric of metrics) metric.reset()
    for (const { counter } of this.#factCounters) counter.reset()
  }

  #publishFacts(pool: string, facts: Facts): void {
    const { ended, generated, wasted, revenue, promises, rebates, cost, etaError } = this.#counters
    for (const outcome of ['completed', 'failed', 'cancelled'] as const)
      ended.inc({ pool, outcome }, Number(facts[outcome]))
    let generatedTokens = facts.charged_tokens
    for (const cause of WASTE_CAUSES) {
      const tokens = facts[`wasted_${cause}`]
      generatedTokens += tokens
      wasted.inc({ pool, cause }, Number(tokens))
    }
    generated.inc({ pool }, Number(generatedTokens))
    const currency = this.#currency
    revenue.inc({ pool, currency }, Number(facts.revenue_micros) / MICROS)
    promises.inc({ pool, outcome: 'kept' }, Number(facts.promises_kept))
    promises.inc({ pool, outcome: 'missed' }, Number(facts.promises_missed))
    rebates.inc({ pool, currency }, Number(facts.rebate_micros) / MICROS)
    // No line rather than 0 while nothing is known of the pool's cost.
    if (facts.unpriced_gpu_ms === 0n || facts.cost_micros_per_hour_ms > 0n) {
      cost.inc({ pool, currency }, Number(facts.cost_micros_per_hour_ms) / HOUR_MS / MICROS)
    }
    etaError.inc({ pool, direction: 'early' }, inSeconds(facts.eta_early_ms))
    etaError.inc({ pool, direction: 'late' }, inSeconds(facts.eta_late_ms))
    for (const { counter, amountOf } of this.#factCounters) counter.inc({ pool }, amountOf(facts))
  }
}
