import { expect, test } from 'vitest'
import { type Outcome, TENANT_BUSY, TenantGroups } from './tenant-groups.ts'

interface Piece {
  tenant: string
  name: string
}

/** Groups whose work ends when it is told to. */
function driven(options: { groupsMax?: number; piecesMax?: number; isHopeless?: boolean } = {}) {
  const started: {
    names: string[]
    end: (outcomes?: Outcome<string>[]) => void
    fail: (error: Error) => void
  }[] = []
  const groups = new TenantGroups<Piece, string>({
    tenantOf: ({ tenant }) => tenant,
    work: (pieces) => {
      const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>[]>()
      const names = pieces.map(({ name }) => name)
      const end = (outcomes?: Outcome<string>[]) =>
        resolve(outcomes ?? names.map((name) => ({ result: `${name} done` })))
      started.push({ names, end, fail: reject })
      return promise
    },
    isHopeless: () => options.isHopeless === true,
    groupsMax: options.groupsMax ?? 1,
    piecesMax: options.piecesMax ?? 10,
  })
  const join = (name: string) => groups.join({ tenant: name.charAt(0), name })
  return { started, join }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 1))
const namesOf = (started: readonly { names: string[] }[]) => started.map(({ names }) => names)

test('a piece that comes alone is worked on at once, and what comes meanwhile together', async () => {
  const { started, join } = driven()
  const first = join('a1')
  await settled()
  expect(namesOf(started)).toEqual([['a1']])
  const others = ['a2', 'b1', 'a3'].map(join)
  await settled()
  expect(started).toHaveLength(1)
  started[0]?.end()
  await settled()
  expect(namesOf(started)).toEqual([['a1'], ['b1', 'a2', 'a3']])
  started[1]?.end()
  expect(await Promise.all([first, ...others])).toEqual(['a1 done', 'a2 done', 'b1 done', 'a3 done'])
})

test('a tenant is in one group at a time, in the order in which its pieces came; others go on beside it', async () => {
  const { started, join } = driven({ groupsMax: 2, piecesMax: 2 })
  const all = ['a1', 'a2', 'a3'].map(join)
  await settled()
  all.push(join('b1'), join('a4'))
  await settled()
  expect(namesOf(started)).toEqual([['a1', 'a2'], ['b1']])
  started[0]?.end()
  await settled()
  expect(namesOf(started)).toEqual([['a1', 'a2'], ['b1'], ['a3', 'a4']])
  for (const { end } of started) end()
  await Promise.all(all)
})

test('tenants come in turn: the flood of one fills only what the others leave', async () => {
  const { started, join } = driven({ piecesMax: 4 })
  const all = [join('x0')]
  await settled()
  all.push(...['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'c1', 'c2'].map(join))
  for (let turn = 0; turn < 3; turn += 1) {
    started[turn]?.end()
    await settled()
  }
  expect(namesOf(started)).toEqual([['x0'], ['a1', 'b1', 'c1', 'a2'], ['a3', 'c2', 'a4', 'a5']])
  started[3]?.end()
  started[2]?.end()
  await Promise.all(all)
})

test('one that is refused leaves its neighbours alone', async () => {
  const { started, join } = driven()
  const all = Promise.allSettled(['a1', 'a2', 'b1'].map(join))
  await settled()
  started[0]?.end([{ result: 'one' }, { error: new Error('refused') }, { result: 'three' }])
  expect(await all).toMatchObject([{ value: 'one' }, { value: 'three' }, { reason: new Error('refused') }])
})

test('a group that fails is tried again one by one, each tenant’s in its order, before what came later', async () => {
  const { started, join } = driven({ groupsMax: 1 })
  const all = Promise.allSettled(['a1', 'b1', 'a2'].map(join))
  await settled()
  const later = join('a3')
  started[0]?.fail(new Error('broken'))
  for (let turn = 1; turn < 4; turn += 1) {
    await settled()
    const group = started[turn]
    if (group?.names[0] === 'b1') group.fail(new Error('broken alone'))
    else group?.end()
  }
  await settled()
  started[4]?.end()
  expect(namesOf(started)).toEqual([['a1', 'b1', 'a2'], ['a1'], ['b1'], ['a2'], ['a3']])
  expect(await all).toMatchObject([
    { value: 'a1 done' },
    { reason: new Error('broken alone') },
    { value: 'a2 done' },
  ])
  expect(await later).toBe('a3 done')
})

test('what would fail for each alone too is not tried again', async () => {
  const { started, join } = driven({ isHopeless: true })
  const all = Promise.allSettled(['a1', 'b1'].map(join))
  await settled()
  started[0]?.fail(new Error('away'))
  expect(await all).toMatchObject([{ reason: new Error('away') }, { reason: new Error('away') }])
  expect(started).toHaveLength(1)
})

test('a tenant that somebody else keeps busy comes again by itself, and keeps no other waiting', async () => {
  const { started, join } = driven({ groupsMax: 2 })
  const [a1, b1, a2] = ['a1', 'b1', 'a2'].map(join)
  await settled()
  const b2 = join('b2')
  started[0]?.end([TENANT_BUSY, { result: 'b1 done' }, TENANT_BUSY])
  await settled()
  expect(await b1).toBe('b1 done')
  expect(namesOf(started)).toEqual([['a1', 'b1', 'a2'], ['a1', 'a2'], ['b2']])
  started[2]?.end()
  expect(await b2).toBe('b2 done')
  started[1]?.end()
  expect(await Promise.all([a1, a2])).toEqual(['a1 done', 'a2 done'])
})

test('however many tenants are to be tried apart, the others go on beside them', async () => {
  const { started, join } = driven({ groupsMax: 1, piecesMax: 2 })
  const apart = ['a1', 'b1'].map(join)
  await settled()
  const more = ['c1', 'd1'].map(join)
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  started[1]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  const other = join('e1')
  await settled()
  expect(namesOf(started)).toEqual([['a1', 'b1'], ['c1', 'd1'], ['a1'], ['e1']])
  for (let turn = 2; turn < 7; turn += 1) {
    started[turn]?.end()
    await settled()
  }
  expect(await Promise.all([...apart, ...more, other])).toHaveLength(5)
})
