import { expect, test } from 'vitest'
import { loadedModels, slotStates, switchWaitMsMax, takeSlot, unoccupiedSlots } from './loaded-slots.ts'

const INK = { worker: 'one', slot: 0, model: 'ink' }
const CLAY = { worker: 'one', slot: 1, model: 'clay' }
const SILENT = { worker: 'old', slot: null, model: null }
const untaken = (model: string) => ({ worker: null, slot: null, model })

test('a worker has as many slots as it offers, whatever it says of them', () => {
  const twice = [
    { slot: 0, model: 'ink' },
    { slot: 0, model: 'ink' },
    { slot: 1, model: 'clay' },
  ]
  expect(slotStates([{ worker: 'one', slots: 2, loaded: twice }])).toEqual([INK, CLAY])
  expect(slotStates([{ worker: 'one', slots: 1, loaded: twice }])).toEqual([INK])
  expect(slotStates([{ worker: 'old', slots: 2, loaded: [] }])).toEqual([SILENT, SILENT])
})

test('what runs occupies its own slot, and what nobody took yet the one that it was chosen for', () => {
  const pool = { loaded: [INK, CLAY, SILENT] }
  expect(unoccupiedSlots(pool, [{ worker: 'one', slot: 1, model: 'ink' }])).toEqual([INK, SILENT])
  expect(unoccupiedSlots(pool, [untaken('clay')])).toEqual([INK, SILENT])
  expect(unoccupiedSlots(pool, [untaken('neon')])).toEqual([INK, CLAY])
  expect(unoccupiedSlots(pool, [{ worker: 'old', slot: 3, model: 'ink' }])).toEqual([INK, CLAY])
  expect(unoccupiedSlots(pool, [{ worker: 'gone', slot: 0, model: 'ink' }])).toEqual(pool.loaded)
  expect(unoccupiedSlots(pool, [untaken('clay'), { worker: 'one', slot: 1, model: 'clay' }])).toEqual([INK])
})

test('a video gets the slot that has its model loaded, else one whose model nobody waits for', () => {
  const take = (model: string, wanted: string[]) => takeSlot([INK, CLAY], model, new Set(wanted))
  expect(take('clay', ['ink', 'clay'])).toBe(CLAY)
  expect(take('neon', ['ink', 'neon'])).toBe(CLAY)
  expect(take('neon', ['ink', 'clay', 'neon'])).toBe(INK)
  expect(takeSlot([], 'ink', new Set())).toBeUndefined()
})

test('nobody is passed over while a free slot does not say what it has loaded', () => {
  expect(loadedModels([INK, CLAY])).toEqual(new Set(['ink', 'clay']))
  expect(loadedModels([INK, SILENT])).toEqual(new Set())
})

test('a video is passed over for ten switches at most, and never for longer than the setting', () => {
  expect(switchWaitMsMax(20_000, 300_000)).toBe(200_000)
  expect(switchWaitMsMax(60_000, 300_000)).toBe(300_000)
  expect(switchWaitMsMax(60_000, 0)).toBe(0)
  expect(switchWaitMsMax(0, 300_000)).toBe(0)
})
