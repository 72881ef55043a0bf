import type { KnownRow } from '@sluice/gate/lines'
import type { AttemptProducer } from '@sluice/shared/attempt-producer'
import type { Clock } from '@sluice/shared/clock'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { DatabasePool } from './db/database.ts'
import type { SystemAccounts } from './ledger/accounts.ts'
import type { Places } from './places.ts'
import type { ObjectStore } from './storage/object-store.ts'

/** What the domain works with. Built once, in compose.ts; what HTTP needs besides stands in services.ts. */
export interface Context {
  config: Config
  log: Logger
  clock: Clock
  /** A seed for a request that names none, from 0 to 2,147,483,646. */
  randomSeed: () => number
  db: DatabasePool
  systemAccounts: SystemAccounts
  store: ObjectStore
  producer: AttemptProducer
  /** What this installation's queues are named after. */
  installation: string
  places: Places
  /** Call after a commit that gave the gate something to do. */
  wakeGate: WakeGate
}

/** Without news, anything may have changed: the gate looks at everything. */
export type WakeGate = (news?: GateNews) => void

/**
 * What alone has changed, as far as the gate is concerned. What it is not told it finds by itself, a second
 * or two later.
 */
export interface GateNews {
  queued?: readonly QueuedVideo[]
  /** Attempts whose device is free, or will be. */
  freed?: readonly FreedSlot[]
}

/** A video that was queued. */
export interface QueuedVideo {
  id: string
  /** What the gate would read of it, where whoever queued it knows; null = the gate reads it. */
  known: KnownRow | null
}

export interface FreedSlot {
  videoId: string
  fence: number
  /** Milliseconds until its device is free; 0 = it is. */
  inMs: number
}
