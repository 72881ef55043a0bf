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
    const unknown = { worker, slot: null, model: null }
    return [...known, ...Array.from({ length: slots - known.length }, () => unknown)]
  })
}

/**
 * The slots of the pool without those that these attempts occupy. An untaken one has the slot that it was
 * chosen for, by the same rule.
 */
export function unoccupiedSlots(
  pool: { loaded: readonly SlotState[] },
  attempts: readonly Occupant[],
): SlotState[] {
  const free = [...pool.loaded]
  const remove = (index: number) => index >= 0 && free.splice(index, 1)
  for (const { worker, slot } of attempts) {
    if (worker === null) continue
    const exact = free.findIndex((state) => state.worker === worker && state.slot === slot)
    remove(exact >= 0 ? exact : free.findIndex((state) => state.worker === worker && state.slot === null))
  }
  for (const { worker, model } of attempts) if (worker === null) takeSlot(free, model, new Set())
  return free
}

/**
 * Takes the slot for a video of this model out of the free ones: one that has it loaded, else one of which
 * nothing is known, else one whose model is not `wanted` by others. Undefined when none is left.
 */
export function takeSlot(
  free: SlotState[],
  model: string,
  wanted: ReadonlySet<string>,
): SlotState | undefined {
  const best = [
    free.findIndex((state) => state.model === model),
    free.findIndex((state) => state.model === null),
    free.findIndex((state) => state.model !== null && !wanted.has(state.model)),
    0,
  ].find((index) => index >= 0)
  return best === undefined ? undefined : free.splice(best, 1)[0]
}

/**
 * The models of the free slots. Empty when one of them says nothing: then it may have anything, and nobody is
 * passed over for the others.
 */
export function loadedModels(free: readonly SlotState[]): ReadonlySet<string> {
  const models = free.map(({ model }) => model).filter((model) => model !== null)
  return new Set(models.length === free.length ? models : [])
}

/** Passed over for as long as that, a switch costs less than a tenth of the time that is saved for it. */
const WAIT_SWITCHES_MAX = 10

/** How long a video is passed over at most where a switch takes `switchMs`; `settingMs` bounds it. */
export function switchWaitMsMax(switchMs: number, settingMs: number): number {
  return Math.min(settingMs, switchMs * WAIT_SWITCHES_MAX)
}
