import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { DatabasePool } from '../db/database.ts'
import type { LivePoolReader } from '../economics/live-pools.ts'
import type { DemandSettings } from './demand.ts'
import { InstallationMetrics } from './installation-metrics.ts'
import { InstallationReader } from './read-installation.ts'

/** Seconds; from a cached read to a long upload. */
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]
const PASS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
/** Nothing may hold the event loop for longer than 0.01. */
const LOOP_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

/** What this process counts, and the figures of the whole installation, as Prometheus reads them. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #installation: InstallationReader
  readonly #installationMetrics: InstallationMetrics
  /** Labels: method, the path's template, status. Never an id. */
  readonly requests: Histogram<'method' | 'path' | 'status'>
  /** Submissions by what became of them: `accepted`, or the code of the refusal. */
  readonly submissions: Counter<'result'>
  readonly gateLeader: Gauge
  readonly gatePasses: Histogram
  readonly gateDispatches: Counter
  readonly webhookTries: Counter<'outcome'>
  /** What payment providers said, by what came of it. */
  readonly paymentEvents: Counter<'result'>
  readonly loopDelays: Histogram

  constructor(
    pool: DatabasePool,
    livePools: LivePoolReader,
    { currency, ...demand }: { currency: string } & DemandSettings,
  ) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.requests = new Histogram({
      name: 'sluice_http_request_duration_seconds',
      help: 'HTTP requests to this process.',
      labelNames: ['method', 'path', 'status'],
      buckets: REQUEST_BUCKETS,
      registers,
    })
    this.submissions = new Counter({
      name: 'sluice_submissions_total',
      help: 'Submissions to this process: accepted, or refused by code.',
      labelNames: ['result'],
      registers,
    })
    this.gateLeader = new Gauge({
      name: 'sluice_gate_leader',
      help: '1 while this process leads the gate.',
      registers,
    })
    this.gatePasses = new Histogram({
      name: 'sluice_gate_pass_seconds',
      help: 'Passes of the gate in this process.',
      buckets: PASS_BUCKETS,
      registers,
    })
    this.gateDispatches = new Counter({
      name: 'sluice_gate_dispatches_total',
      help: 'Videos this process dispatched.',
      registers,
    })
    this.webhookTries = new Counter({
      name: 'sluice_webhook_tries_total',
      help: 'Webhook requests of this process.',
      labelNames: ['outcome'],
      registers,
    })
    this.paymentEvents = new Counter({
      name: 'sluice_payment_events_total',
      help: 'Signed events of payment providers to this process: ignored, or the status of their payment.',
      labelNames: ['result'],
      registers,
    })
    this.loopDelays = new Histogram({
      name: 'sluice_event_loop_delay_seconds',
      help: 'How late the event loop of this process was, looked at every 10 ms.',
      buckets: LOOP_BUCKETS,
      registers,
    })
    this.#installation = new InstallationReader(pool, livePools, demand)
    this.#installationMetrics = new InstallationMetrics(this.#registry, currency)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics as Prometheus text. Throws when the database is away. */
  async text(): Promise<string> {
    this.#installationMetrics.publish(await this.#installation.read())
    return this.#registry.metrics()
  }
}
