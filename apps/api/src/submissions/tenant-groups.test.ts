import { expect, test } from 'vitest'
import { type Outcome, TENANT_BUSY, TenantGroups } from './tenant-groups.ts'

interface Piece {
  tenant: string
  name: string
}

/** Groups whose work ends, and whose turns come, when they are told to. */
function driven(options: { groupsMax?: number; piecesMax?: number; isHopeless?: boolean } = {}) {
  const started: {
    names: string[]
    isApart: boolean
    end: (outcomes?: Outcome<string>[]) => void
    fail: (error: Error) => void
  }[] = []
  const turns: { come: (wasFree?: boolean) => void; miss: () => void }[] = []
  const work = (pieces: readonly Piece[], { isApart }: { isApart: boolean }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>[]>()
    const names = pieces.map(({ name }) => name)
    const end = (outcomes?: Outcome<string>[]) =>
      resolve(outcomes ?? names.map((name) => ({ result: `${name} done` })))
    started.push({ names, isApart, end, fail: reject })
    return promise
  }
  const groups = new TenantGroups<Piece, string>({
    tenantOf: ({ tenant }) => tenant,
    work,
    workInTurn: (take) => {
      const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>[]>()
      const come = (wasFree = false) => resolve(work(take({ wasFree }), { isApart: false }))
      turns.push({ come, miss: () => reject(new Error('missed')) })
      return promise
    },
    isHopeless: () => options.isHopeless === true,
    groupsMax: options.groupsMax ?? 1,
    piecesMax: options.piecesMax ?? 10,
  })
  const join = (name: string) => groups.join({ tenant: name.charAt(0), name })
  return { started, turns, join }
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

test('where tenants are busy, the next group is of all that comes until the turn does, and one at a time', async () => {
  const { started, turns, join } = driven({ groupsMax: 2 })
  const all = ['a1', 'b1', 'a2'].map(join)
  await settled()
  started[0]?.end([TENANT_BUSY, { result: 'b1 done' }, TENANT_BUSY])
  await settled()
  all.push(...['b2', 'a3', 'c1'].map(join))
  await settled()
  expect(namesOf(started)).toHaveLength(1)
  expect(turns).toHaveLength(1)
  turns[0]?.come()
  await settled()
  all.push(...['d1', 'a4'].map(join))
  await settled()
  expect(turns).toHaveLength(1)
  expect(namesOf(started)).toEqual([
    ['a1', 'b1', 'a2'],
    ['a1', 'b2', 'c1', 'a2', 'a3'],
  ])
  started[1]?.end()
  await settled()
  turns[1]?.come()
  await settled()
  started[2]?.end()
  expect(namesOf(started)[2]).toEqual(['d1', 'a4'])
  expect(await Promise.all(all)).toHaveLength(8)
  expect(started.some(({ isApart }) => isApart)).toBe(false)
})

test('a tenant that is busy in three turns goes by itself and is waited for, and keeps no other waiting', async () => {
  const { started, turns, join } = driven()
  const stuck = ['a1', 'a2'].map(join)
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  for (let turn = 0; turn < 3; turn += 1) {
    const other = join(`b${turn}`)
    await settled()
    turns[turn]?.come()
    await settled()
    const group = started.at(-1)
    group?.end(group.names.map((name) => (name.startsWith('a') ? TENANT_BUSY : { result: `${name} done` })))
    expect(await other).toBe(`b${turn} done`)
  }
  await settled()
  expect(started.at(-1)).toMatchObject({ names: ['a1', 'a2'], isApart: true })
  const after = join('b9')
  await settled()
  turns[3]?.come()
  await settled()
  expect(started.at(-1)?.names).toEqual(['b9'])
  started.at(-1)?.end()
  expect(await after).toBe('b9 done')
  started.at(-2)?.end()
  expect(await Promise.all(stuck)).toEqual(['a1 done', 'a2 done'])
})

test('where the turn does not come all go on without, and busy tenants by themselves', async () => {
  const { started, turns, join } = driven({ groupsMax: 2 })
  const [a1, b1] = ['a1', 'b1'].map(join)
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  turns[0]?.miss()
  await settled()
  expect(namesOf(started)[1]).toEqual(['a1', 'b1'])
  started[1]?.end([TENANT_BUSY, { result: 'b1 done' }])
  expect(await b1).toBe('b1 done')
  await settled()
  expect(started[2]).toMatchObject({ names: ['a1'], isApart: true })
  const b2 = join('b2')
  await settled()
  started[3]?.end()
  expect(await b2).toBe('b2 done')
  started[2]?.end()
  expect(await a1).toBe('a1 done')
  expect(turns).toHaveLength(1)
})

test('after a turn that was free, with a piece that came alone, the next is worked on at once', async () => {
  const { started, turns, join } = driven()
  const first = join('a1')
  await settled()
  started[0]?.end([TENANT_BUSY])
  await settled()
  turns[0]?.come(true)
  await settled()
  started[1]?.end()
  expect(await first).toBe('a1 done')
  const second = join('a2')
  await settled()
  expect(turns).toHaveLength(1)
  started[2]?.end()
  expect(await second).toBe('a2 done')
})

test('after 64 turns it is tried without: nobody else may be there any more', async () => {
  const { started, turns, join } = driven()
  const all = [join('a1')]
  await settled()
  started[0]?.end([TENANT_BUSY])
  for (let turn = 0; turn < 64; turn += 1) {
    await settled()
    expect(turns).toHaveLength(turn + 1)
    turns[turn]?.come()
    await settled()
    all.push(join('b1'))
    started.at(-1)?.end()
  }
  await settled()
  expect(turns).toHaveLength(64)
  expect(started).toHaveLength(66)
  started.at(-1)?.end()
  expect(await Promise.all(all)).toHaveLength(65)
})

test('what fails in a turn is tried again one by one', async () => {
  const { started, turns, join } = driven()
  const all = Promise.allSettled(['a1', 'b1'].map(join))
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  turns[0]?.come()
  await settled()
  started[1]?.fail(new Error('broken'))
  await settled()
  started[2]?.end()
  await settled()
  started[3]?.fail(new Error('broken alone'))
  expect(await all).toMatchObject([{ value: 'a1 done' }, { reason: new Error('broken alone') }])
})

test('however many tenants are to be tried apart, the others go on beside them', async () => {
  const { started, join } = driven({ groupsMax: 1, piecesMax: 2 })
  const apart = ['a1', 'b1'].map(join)
  await settled()
  const more = ['c1', 'd1'].map(join)
  await settled()
  started[0]?.fail(new Error('broken'))
  await settled()
  started[1]?.fail(new Error('broken'))
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
