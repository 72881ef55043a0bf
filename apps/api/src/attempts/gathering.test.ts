import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DatabaseUnavailableError } from '../errors.ts'
import { Gathering } from './gathering.ts'

interface Item {
  key: string
  index: number
}

const items = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 30 })
  .map((keys) => keys.map((key, index): Item => ({ key, index })))

test('each item gets its own result, no group has two of one key or more than it may, and no more are under way', async () => {
  await fc.assert(
    fc.asyncProperty(items, fc.infiniteStream(fc.nat(3)), async (given, waits) => {
      let underWay = 0
      const gathering = new Gathering<Item, number>({
        groupsMax: 2,
        itemsMax: 3,
        keyOf: ({ key }) => key,
        work: async (group) => {
          underWay += 1
          expect(underWay).toBeLessThanOrEqual(2)
          expect(group.length).toBeLessThanOrEqual(3)
          expect(new Set(group.map(({ key }) => key)).size).toBe(group.length)
          for (let left = waits.next().value ?? 0; left > 0; left -= 1) await setImmediate()
          underWay -= 1
          return group.map(({ index }) => (index % 5 === 0 ? null : index))
        },
      })
      const results = await Promise.all(given.map((item) => gathering.add(item)))
      expect(results).toEqual(given.map(({ index }) => (index % 5 === 0 ? null : index)))
    }),
  )
})

test('what comes meanwhile shares the next group, and what comes alone waits for nobody', async () => {
  const groups: number[][] = []
  let goOn = () => {}
  const gathering = new Gathering<Item, number>({
    groupsMax: 1,
    itemsMax: 10,
    keyOf: ({ index }) => `${index}`,
    work: async (group) => {
      groups.push(group.map(({ index }) => index))
      if (groups.length === 1)
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      return group.map(({ index }) => index)
    },
  })
  const add = (index: number) => gathering.add({ key: '', index })
  const first = add(0)
  await expect.poll(() => groups).toEqual([[0]])
  const others = [add(1), add(2), add(3)]
  goOn()
  expect(await Promise.all([first, ...others])).toEqual([0, 1, 2, 3])
  expect(groups).toEqual([[0], [1, 2, 3]])
})

test('of a group that fails each is tried alone, also when one waited too long for a lock, unless the database is away', async () => {
  const failing = (error: Error) =>
    new Gathering<Item, number>({
      groupsMax: 1,
      itemsMax: 10,
      keyOf: ({ index }) => `${index}`,
      work: () => Promise.reject(error),
    })
  const add = (gathering: Gathering<Item, number>) =>
    Promise.allSettled([gathering.add({ key: 'a', index: 0 }), gathering.add({ key: 'b', index: 1 })])
  expect(await add(failing(new Error('one of them')))).toEqual([
    { status: 'fulfilled', value: null },
    { status: 'fulfilled', value: null },
  ])
  const locked = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
  expect(await add(failing(new DatabaseUnavailableError(locked)))).toEqual([
    { status: 'fulfilled', value: null },
    { status: 'fulfilled', value: null },
  ])
  const away = new DatabaseUnavailableError(new Error('away'))
  expect(await add(failing(away))).toEqual([
    { status: 'rejected', reason: away },
    { status: 'rejected', reason: away },
  ])
})
