import type { SmallDisk } from './small-disk.ts'
import type { Wire } from './wire.ts'

export type QueueKind = 'postgres' | 'redis'
export type StoreKind = 'disk' | 's3'
export type Layout = 'box' | 'fleet'

export interface InstallationOptions {
  queue: QueueKind
  store: StoreKind
  /** Its own, empty folder. */
  dir: string
}

/** The kinds of process that a fault can hit. `runner` is a child of a worker. */
export type ProcessKind = 'api' | 'worker' | 'runner' | 'postgres' | 'redis' | 's3' | 'supervisor'

/** A whole service of real processes, with what a campaign needs to disturb and to inspect it. */
export interface Installation {
  layout: Layout
  options: InstallationOptions
  /** Where clients reach it, without /v1. */
  origin: string
  key: string
  adminKey: string
  /** The superuser's URL of the service's database, for the verdict and for killing backends. */
  adminUrl(): string
  /** Live processes of a kind; `runner` includes all of them. */
  pids(kind: ProcessKind): number[]
  /** The disk store's folder; null with S3. */
  objectDir: string | null
  /** Folders of workers, which hold spools and half-done work. */
  workerDataDirs: string[]
  /** TCP connections in our hands; none in a box, whose parts talk directly. */
  wires: Wire[]
  redisUrl: string | null
  /** Disks that can be filled; none where this process may not mount. */
  disks: SmallDisk[]
  /** Kills every process at once, as a power cut does, and starts the service again. */
  powerCut(): Promise<void>
  /** Steps the clocks of API and worker by so many seconds; 0 = true time. Null: clocks can't be faked. */
  stepClocks: ((seconds: number) => void) | null
  /** Where the logs are. */
  logDir: string
  /**
   * Stops as an operator does. Returns what went wrong: a part that had to be killed, a process left behind.
   */
  stop(): Promise<string[]>
}

/** Marks every process of an installation, in its environment. */
export const MARK_VARIABLE = 'SLUICE_ANIMATIC_OF'
