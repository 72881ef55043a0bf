import type { Router } from 'express'
import type { ReportGroups } from './attempts/report-groups.ts'
import type { Context } from './context.ts'
import type { LivePoolReader } from './economics/live-pools.ts'
import type { Forecaster } from './forecast/forecaster.ts'
import type { VideoWatch } from './forecast/video-watch.ts'
import type { KeyReader } from './keys/key-reader.ts'
import type { RateLimits } from './keys/rate-limit.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { SignatureCheck } from './payments/stripe-signature.ts'
import type { QueueWatch } from './queue-watch.ts'
import type { Readiness } from './readiness.ts'
import type { Repeats } from './submissions/repeats.ts'
import type { SubmissionGroups } from './submissions/submit.ts'

/**
 * What calls work with: the domain's context, and the parts that only HTTP needs. Built once, in compose.ts.
 */
export interface Services extends Context {
  /** Apart, as their connections are: whatever customers do, workers are answered. */
  keyReaders: { customers: KeyReader; workers: KeyReader }
  rateLimits: RateLimits
  strangers: { wait(request: { ip?: string | undefined }): Promise<void> }
  /** Null: no payments are taken. */
  stripeSignature: SignatureCheck | null
  readiness: Readiness
  forecaster: Forecaster
  videoWatch: VideoWatch
  repeats: Repeats
  submissionGroups: SubmissionGroups
  metrics: Metrics
  livePools: LivePoolReader
  /**
   * The same context on connections of its own, which no customer's request can use up: for workers' calls,
   * the gate, recovery and webhooks.
   */
  internal: Context
  /** Takes what workers report. */
  reports: ReportGroups
  /** Serves the disk store's signed URLs; null with S3, which serves its own. */
  storeRoutes: Router | null
  queueWatch: QueueWatch
  /** Takes an error of the queue wherever it shows, so that an outage is logged once. */
  onQueueError: (error: Error) => void
  /** Closes every connection. Call it once. */
  close(): Promise<void>
}
