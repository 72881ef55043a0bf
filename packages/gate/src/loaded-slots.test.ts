import { expect, test } from 'vitest'
import { FreeSlots, slotStates, switchWaitMsMax, unoccupiedSlots } from './loaded-slots.ts'

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
  const free = (attempts: Parameters<typeof unoccupiedSlots>[1]) => unoccupiedSlots(pool, attempts).list()
  expect(free([{ worker: 'one', slot: 1, model: 'ink' }])).toEqual([INK, SILENT])
  expect(free([untaken('clay')])).toEqual([INK, SILENT])
  expect(free([untaken('neon')])).toEqual([INK, CLAY])
  expect(free([{ worker: 'old', slot: 3, model: 'ink' }])).toEqual([INK, CLAY])
  expect(free([{ worker: 'gone', slot: 0, model: 'ink' }])).toEqual(pool.loaded)
  expect(free([untaken('clay'), { worker: 'one', slot: 1, model: 'clay' }])).toEqual([INK])
  const many = { loaded: slotStates([{ worker: 'old', slots: 3, loaded: [] }]) }
  const one = { worker: 'old', slot: 0, model: 'ink' }
  expect(unoccupiedSlots(many, [one, { ...one, slot: 1 }]).list()).toEqual([SILENT])
})

test('a video gets the slot that has its model loaded, else one whose model nobody waits for', () => {
  const take = (model: string, wanted: string[]) => FreeSlots.of([INK, CLAY]).take(model, new Set(wanted))
  expect(take('clay', ['ink', 'clay'])).toBe(CLAY)
  expect(take('neon', ['ink', 'neon'])).toBe(CLAY)
  expect(take('neon', ['ink', 'clay', 'neon'])).toBe(INK)
  expect(FreeSlots.of([]).take('ink', new Set())).toBeUndefined()
})

test('each free slot is given away once, and a copy keeps what is taken from the other', () => {
  const free = FreeSlots.of([INK, CLAY])
  const copy = free.copy()
  expect([free.take('ink', new Set()), free.take('ink', new Set())]).toEqual([INK, CLAY])
  expect([free.take('ink', new Set()), free.list(), free.models()]).toEqual([undefined, [], new Set()])
  expect(copy.list()).toEqual([INK, CLAY])
})

test('nobody is passed over while a free slot does not say what it has loaded', () => {
  expect(FreeSlots.of([INK, CLAY]).models()).toEqual(new Set(['ink', 'clay']))
  const withSilent = FreeSlots.of([INK, SILENT])
  expect(withSilent.models()).toEqual(new Set())
  withSilent.take('clay', new Set())
  expect(withSilent.models()).toEqual(new Set(['ink']))
})

test('a video is passed over for ten switches at most, and never for longer than the setting', () => {
  expect(switchWaitMsMax(20_000, 300_000)).toBe(200_000)
  expect(switchWaitMsMax(60_000, 300_000)).toBe(300_000)
  expect(switchWaitMsMax(60_000, 0)).toBe(0)
  expect(switchWaitMsMax(0, 300_000)).toBe(0)
})
