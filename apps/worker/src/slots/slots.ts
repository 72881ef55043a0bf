import {
  type AttemptJob,
  type Heartbeat,
  type LoadedSlot,
  POOL_PATTERN,
} from '@sluice/shared/attempt-contract'
import { queueOf } from '@sluice/shared/queue-of'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type { Logger } from 'pino'
import type { WorkerConfig } from '../config.ts'
import { type ReadyReply, Slot } from './slot.ts'

export type SlotsDescription = Pick<
  Heartbeat,
  | 'pool'
  | 'queue'
  | 'slots'
  | 'loaded'
  | 'device'
  | 'devices_per_slot'
  | 'vram_bytes'
  | 'models'
  | 'modes'
  | 'limits'
>

/** The slots of this worker: which of them takes a job, and what the heartbeat says of them. */
export class Slots {
  /** Woken whenever a slot may want a job. One waiter. */
  readonly changed = new WakeSignal()
  readonly #slots: Slot[] = []
  readonly #onOffered: () => void
  #pool: string | null
  /** As last told. */
  #offered = ''
  #lastReady: ReadyReply | undefined

  /**
   * `onOffered` is called when the slots that videos may be sent to have changed, or what they have loaded.
   */
  constructor(config: WorkerConfig, log: Logger, onOffered: () => void) {
    this.#pool = config.pool
    this.#onOffered = onOffered
    const settings = { runner: config.runner, models: config.models, stallMs: config.stallMs }
    for (const [index, devices] of config.slots.entries())
      this.#slots.push(new Slot(index, devices, { settings, log, onChange: () => this.#onChange() }))
  }

  /** Null until the first runner is ready, unless the settings name the pool. */
  get pool(): string | null {
    return this.#pool
  }

  /** The queue of what this worker serves; null until a runner has said it. */
  get queue(): string | null {
    return this.#lastReady === undefined ? null : (this.describe()?.queue ?? null)
  }

  get wantJob(): boolean {
    return this.#slots.some((slot) => slot.wantsJob)
  }

  /** Whether a slot that has this model loaded wants a job. */
  wantJobWith(loaded: string): boolean {
    return this.#slots.some((slot) => slot.wantsJob && slot.hasLoaded(loaded))
  }

  /**
   * The best slot for a job: one that has loaded what the job was meant for; idle before nearly free, then
   * without a switch of weights before with one; of those that are alike the one that is free first.
   */
  forJob({ model, loaded }: Pick<AttemptJob, 'model' | 'loaded'>): Slot | undefined {
    const slots = this.#slots.toSorted((a, b) => a.freeInMs - b.freeInMs)
    const wanting = slots.filter((slot) => slot.wantsJob)
    return (
      (loaded === undefined ? undefined : wanting.find((slot) => slot.hasLoaded(loaded))) ??
      wanting.find((slot) => slot.isIdle && slot.hasLoaded(model)) ??
      wanting.find((slot) => slot.isIdle) ??
      wanting.find((slot) => slot.hasLoaded(model)) ??
      wanting[0] ??
      slots.find((slot) => slot.hasRoom)
    )
  }

  /** Null while the pool is unknown. While no runner is ready, the description is the last one's. */
  describe(): SlotsDescription | null {
    if (this.#pool === null) return null
    const ready = this.#lastReady
    const served = {
      pool: this.#pool,
      models: ready?.models ?? [],
      modes: ready?.modes ?? ['t2v' as const, 'i2v' as const],
      limits: { sequence_devices: 1, ...(ready?.limits ?? { frames_max: 1, pixels_max: 1 }) },
    }
    return {
      ...served,
      queue: queueOf(served),
      slots: this.#loaded().length,
      // Nobody shall be passed over for a switch that costs nothing.
      ...(ready?.switches_at_once === true ? {} : { loaded: this.#loaded() }),
      device: ready?.device ?? 'unknown',
      devices_per_slot: ready?.devices ?? 1,
      vram_bytes: ready?.vram_bytes ?? 0,
    }
  }

  /** What waits for a device goes back to the gate. */
  handBackWaiting(): void {
    for (const slot of this.#slots) slot.handBackWaiting()
  }

  /** Ends the runners for good, with a few seconds' notice. */
  async shutDown(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.shutDown()))
  }

  /** Ends the runners for good, at once. */
  async kill(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.kill()))
  }

  /** The slots that videos may be sent to. */
  #loaded(): LoadedSlot[] {
    return this.#slots
      .filter((slot) => slot.isOffered)
      .map((slot) => ({ slot: slot.index, model: slot.loadedModel }))
  }

  #onChange(): void {
    this.changed.wake()
    const ready = this.#slots.map((slot) => slot.readiness).filter((reply) => reply !== undefined)
    this.#lastReady = ready[0] ?? this.#lastReady
    if (this.#pool === null && this.#lastReady !== undefined) this.#pool = poolOf(this.#lastReady)
    const offered = JSON.stringify(this.#loaded())
    if (offered === this.#offered) return
    this.#offered = offered
    this.#onOffered()
  }
}

/** `H100`, 8 devices -> `h100x8`. */
function poolOf(ready: ReadyReply): string {
  const name = `${ready.device}x${ready.devices}`.toLowerCase().replaceAll(/[^a-z0-9_-]+/g, '-')
  return POOL_PATTERN.test(name) ? name : 'default'
}
