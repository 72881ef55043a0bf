import type { LoadedSlot } from '@sluice/shared/attempt-contract'

/*
 * What the slots of a pool have loaded, and how long a video may be passed over because of it.
 */

/** A slot of a pool; `slot` and `model` are null when its worker does not say what it has loaded. */
export interface SlotState {
  worker: string
  slot: number | null
  model: string | null
}

/** A worker of the pool as its last heartbeat declared it. */
export interface DeclaredSlots {
  worker: string
  slots: number
  loaded: readonly LoadedSlot[]
}

/** What of an attempt says which slot is its own; until a worker took it, its model alone. */
interface Occupant {
  worker: string | null
  slot: number | null
  model: string
}

/** As many slots as the workers offer, whatever they say of them. */
export function slotStates(workers: readonly DeclaredSlots[]): SlotState[] {
  return workers.flatMap(({ worker, slots, loaded }) => {
    const bySlot = new Map(loaded.map(({ slot, model }) => [slot, { worker, slot, model }]))
    const known: SlotState[] = [...bySlot.values()].slice(0, slots)
    const unknown = () => ({ worker, slot: null, model: null })
    return [...known, ...Array.from({ length: slots - known.length }, unknown)]
  })
}

/**
 * The slots of the pool without those that these attempts occupy. An untaken one has the slot that it was
 * chosen for, by the same rule.
 */
export function unoccupiedSlots(
  pool: { loaded: readonly SlotState[] },
  attempts: readonly Occupant[],
): FreeSlots {
  const nameOf = ({ worker, slot }: { worker: string | null; slot: number | null }) => `${slot} ${worker}`
  const named = Map.groupBy(pool.loaded, nameOf)
  const free = new Set(pool.loaded)
  for (const attempt of attempts) {
    if (attempt.worker === null) continue
    const own = named.get(nameOf(attempt))?.pop() ?? named.get(nameOf({ ...attempt, slot: null }))?.pop()
    if (own !== undefined) free.delete(own)
  }
  const slots = FreeSlots.of(free)
  for (const { worker, model } of attempts) if (worker === null) slots.take(model, new Set())
  return slots
}

/** Slots that have the same loaded: the first `taken` of them are given away. */
interface SameSlots {
  readonly slots: readonly SlotState[]
  taken: number
}

/** The free slots of a pool. Takes and copies in the time of how many models they have loaded. */
export class FreeSlots {
  readonly #byModel: ReadonlyMap<string | null, SameSlots>

  private constructor(byModel: ReadonlyMap<string | null, SameSlots>) {
    this.#byModel = byModel
  }

  static of(slots: Iterable<SlotState>): FreeSlots {
    const byModel = Map.groupBy(slots, ({ model }) => model)
    return new FreeSlots(new Map([...byModel].map(([model, same]) => [model, { slots: same, taken: 0 }])))
  }

  copy(): FreeSlots {
    return new FreeSlots(new Map([...this.#byModel].map(([model, same]) => [model, { ...same }])))
  }

  list(): SlotState[] {
    return [...this.#byModel.values()].flatMap(({ slots, taken }) => slots.slice(taken))
  }

  /**
   * Takes the slot for a video of this model: one that has it loaded, else one of which nothing is known,
   * else one whose model is not `wanted` by others. Undefined when none is left.
   */
  take(model: string, wanted: ReadonlySet<string>): SlotState | undefined {
    const loaded = loadedToTake(this.#left(), model, wanted)
    return loaded === undefined ? undefined : this.#takeOf(loaded)
  }

  /**
   * The models that they have loaded. Empty when one of them says nothing: then it may have anything, and
   * nobody is passed over for the others.
   */
  models(): ReadonlySet<string> {
    const models = new Set<string>()
    for (const [model, { slots, taken }] of this.#byModel) {
      if (taken === slots.length) continue
      if (model === null) return new Set()
      models.add(model)
    }
    return models
  }

  #takeOf(model: string | null): SlotState | undefined {
    const same = this.#byModel.get(model)
    if (same === undefined || same.taken === same.slots.length) return undefined
    same.taken += 1
    return same.slots[same.taken - 1]
  }

  #left(): (string | null)[] {
    return [...this.#byModel].flatMap(([model, { slots, taken }]) => (taken < slots.length ? [model] : []))
  }
}

/**
 * Of what free slots have loaded (null = not known), what the one has that a video of this model takes: its
 * model, else nothing that is known, else a model that is not `wanted` by others. Undefined without a slot.
 */
export function loadedToTake(
  free: Iterable<string | null>,
  model: string,
  wanted: { has(model: string): boolean },
): string | null | undefined {
  let first: string | null | undefined
  let unwanted: string | undefined
  let hasUnknown = false
  for (const loaded of free) {
    if (loaded === model) return model
    if (loaded === null) hasUnknown = true
    else if (!wanted.has(loaded)) unwanted ??= loaded
    first ??= loaded
  }
  return hasUnknown ? null : (unwanted ?? first)
}

/** Passed over for as long as that, a switch costs less than a tenth of the time that is saved for it. */
const WAIT_SWITCHES_MAX = 10

/** How long a video is passed over at most where a switch takes `switchMs`; `settingMs` bounds it. */
export function switchWaitMsMax(switchMs: number, settingMs: number): number {
  return Math.min(settingMs, switchMs * WAIT_SWITCHES_MAX)
}
