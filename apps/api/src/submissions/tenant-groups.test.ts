import { expect, test } from 'vitest'
import {
  type Fault,
  type Manner,
  type Outcome,
  TENANT_BUSY,
  TenantGroups,
  type TurnWork,
} from './tenant-groups.ts'

interface Piece {
  tenant: string
  name: string
}

class Missed extends Error {}
class Held extends Error {}

/** Groups whose work ends, and whose turns come, when they are told to. */
function driven(options: { groupsMax?: number; piecesMax?: number; fault?: Fault; now?: () => number } = {}) {
  const { groupsMax = 1 } = options
  const started: {
    names: string[]
    manner: Manner
    end: (outcomes?: Outcome<string>[]) => void
    fail: (error: Error) => void
  }[] = []
  const turns: {
    come: (its?: { wasFree?: boolean; wasSlow?: boolean }) => void
    miss: () => void
    fail: (error: Error) => void
  }[] = []
  const work = (pieces: readonly Piece[], manner: Manner) => {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome<string>[]>()
    const names = pieces.map(({ name }) => name)
    const end = (outcomes?: Outcome<string>[]) =>
      resolve(outcomes ?? names.map((name) => ({ result: `${name} done` })))
    started.push({ names, manner, end, fail: reject })
    return promise
  }
  const groups = new TenantGroups<Piece, string>({
    tenantOf: ({ tenant }) => tenant,
    work,
    workInTurn: (take) => {
      const { promise, resolve, reject } = Promise.withResolvers<TurnWork<string>>()
      const come = ({ wasFree = false, wasSlow = false } = {}) =>
        resolve(work(take({ wasFree }), 'together').then((outcomes) => ({ outcomes, wasSlow })))
      turns.push({ come, miss: () => reject(new Missed('missed')), fail: reject })
      return promise
    },
    faultOf: (error) =>
      error instanceof Missed ? 'turn' : error instanceof Held ? 'held' : (options.fault ?? 'pieces'),
    tooLate: () => new Error('too late'),
    ownPlaceMsMax: 6_000,
    now: options.now ?? (() => 0),
    groupsMax: { together: groupsMax, apart: groupsMax, patient: groupsMax },
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
  const { started, join } = driven({ fault: 'all' })
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
  expect(started.some(({ manner }) => manner !== 'together')).toBe(false)
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
  expect(started.at(-1)).toMatchObject({ names: ['a1', 'a2'], manner: 'apart' })
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

test('where the turn does not come all go on without, and a tenant that is busy three times by itself', async () => {
  const { started, turns, join } = driven({ groupsMax: 2 })
  const [a1, b1] = ['a1', 'b1'].map(join)
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  turns[0]?.miss()
  await settled()
  expect(namesOf(started)[1]).toEqual(['a1', 'b1'])
  started[1]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  // Busy for a moment.
  expect(started[2]).toMatchObject({ names: ['a1', 'b1'], manner: 'together' })
  started[2]?.end([TENANT_BUSY, { result: 'b1 done' }])
  expect(await b1).toBe('b1 done')
  await settled()
  expect(started[3]).toMatchObject({ names: ['a1'], manner: 'together' })
  started[3]?.end([TENANT_BUSY])
  await settled()
  expect(started[4]).toMatchObject({ names: ['a1'], manner: 'apart' })
  const b2 = join('b2')
  await settled()
  started[5]?.end()
  expect(await b2).toBe('b2 done')
  started[4]?.end()
  expect(await a1).toBe('a1 done')
  expect(turns).toHaveLength(1)
})

test('a turn that fails for what all need is no turn that was missed: all are told, and the next busy tenant waits for a turn', async () => {
  const { started, turns, join } = driven({ fault: 'all' })
  const all = Promise.allSettled(['a1', 'b1'].map(join))
  await settled()
  started[0]?.end([TENANT_BUSY, TENANT_BUSY])
  await settled()
  turns[0]?.fail(new Error('away'))
  await settled()
  started[1]?.fail(new Error('away'))
  expect(await all).toMatchObject([{ reason: new Error('away') }, { reason: new Error('away') }])
  const a2 = join('a2')
  await settled()
  started[2]?.end([TENANT_BUSY])
  await settled()
  expect(turns).toHaveLength(2)
  turns[1]?.come()
  await settled()
  started[3]?.end()
  expect(await a2).toBe('a2 done')
})

/** Lets so many turns come of which each takes a piece. */
async function takeTurns(
  { started, turns, join }: ReturnType<typeof driven>,
  slow: readonly boolean[],
): Promise<void> {
  for (const wasSlow of slow) {
    await settled()
    turns.at(-1)?.come({ wasSlow })
    await settled()
    // The next turn has something to wait for.
    join('b1').catch(() => {})
    started.at(-1)?.end()
  }
  await settled()
}

test('a process whose turns are slow goes without for a while, and then takes turns again', async () => {
  const groups = driven()
  const { started, turns, join } = groups
  join('a1').catch(() => {})
  await settled()
  started[0]?.end([TENANT_BUSY])
  await takeTurns(groups, [true, true])
  expect(turns).toHaveLength(2)
  for (let group = 0; group < 64; group += 1) {
    started.at(-1)?.end([TENANT_BUSY])
    await settled()
    started.at(-1)?.end()
    join('b1').catch(() => {})
    await settled()
    expect(turns).toHaveLength(2)
  }
  started.at(-1)?.end([TENANT_BUSY])
  await settled()
  expect(turns).toHaveLength(3)
})

test('a slow turn between others is the machine’s: turns go on', async () => {
  const groups = driven()
  const { started, turns, join } = groups
  join('a1').catch(() => {})
  await settled()
  started[0]?.end([TENANT_BUSY])
  await takeTurns(groups, [true, false, true, false, true])
  expect(turns).toHaveLength(6)
})

test('where one tenant of a group is held up, each goes by itself, and which is held up again keeps no other waiting', async () => {
  const { started, join } = driven()
  const all = ['a1', 'a2', 'b1', 'c1'].map(join)
  await settled()
  started[0]?.fail(new Held('somebody has a row'))
  await settled()
  expect(started[1]).toMatchObject({ names: ['a1', 'a2'], manner: 'apart' })
  started[1]?.fail(new Held('somebody has a row'))
  await settled()
  expect(started.slice(2)).toMatchObject([
    { names: ['b1'], manner: 'apart' },
    { names: ['a1', 'a2'], manner: 'patient' },
  ])
  started[2]?.end()
  await settled()
  expect(started[4]).toMatchObject({ names: ['c1'], manner: 'apart' })
  started[4]?.end()
  expect(await Promise.all([all[2], all[3]])).toEqual(['b1 done', 'c1 done'])
  const later = join('a3')
  started[3]?.fail(new Error('after all the time'))
  await settled()
  // One by one, since it is not known which of the two it was.
  expect(started.slice(5)).toMatchObject([{ names: ['a1'], manner: 'patient' }])
  started[5]?.end()
  await settled()
  started[6]?.end()
  await settled()
  started[7]?.end()
  expect(await Promise.all([all[0], all[1], later])).toEqual(['a1 done', 'a2 done', 'a3 done'])
})

test('where many tenants are held up at once, who has waited too long for a place is told so', async () => {
  let nowMs = 0
  const { started, join } = driven({ fault: 'all', now: () => nowMs })
  const [first, second, third] = ['a1', 'b1', 'c1'].map(join)
  await settled()
  started[0]?.fail(new Held('somebody has their rows'))
  for (let apart = 1; apart <= 3; apart += 1) {
    await settled()
    started
      .find(({ names, manner }) => manner === 'apart' && names[0] === `${'abc'.charAt(apart - 1)}1`)
      ?.fail(new Held('somebody has its row'))
  }
  await settled()
  const patient = () => started.filter(({ manner }) => manner === 'patient')
  expect(namesOf(patient())).toEqual([['a1']])
  nowMs = 3_000
  patient()[0]?.fail(new Error('after all the time'))
  await expect(first).rejects.toThrow('after all the time')
  await settled()
  const [behind, other] = [join('c2'), join('d1')]
  nowMs = 6_001
  patient()[1]?.fail(new Error('after all the time'))
  await expect(second).rejects.toThrow('after all the time')
  await expect(third).rejects.toThrow('too late')
  await settled()
  for (const { names, end } of started) if (names.includes('c2') || names.includes('d1')) end()
  await settled()
  for (const { names, end } of started) if (names.includes('c2') || names.includes('d1')) end()
  expect(await Promise.all([behind, other])).toEqual(['c2 done', 'd1 done'])
})

test('of a tenant that was waited for in vain what comes behind holds up no group either', async () => {
  const { started, join } = driven({ fault: 'all' })
  const first = join('a1')
  await settled()
  started[0]?.fail(new Held('somebody has a row'))
  await settled()
  started[1]?.fail(new Held('somebody has a row'))
  await settled()
  const behind = ['a2', 'a3'].map(join)
  const other = join('b1')
  started[2]?.fail(new Error('after all the time'))
  await expect(first).rejects.toThrow('after all the time')
  await settled()
  expect(started.slice(3)).toMatchObject([
    { names: ['b1'], manner: 'together' },
    { names: ['a2', 'a3'], manner: 'patient' },
  ])
  started[3]?.end()
  started[4]?.end()
  expect(await Promise.all([...behind, other])).toEqual(['a2 done', 'a3 done', 'b1 done'])
})

test('after a turn that was free, with a piece that came alone, the next is worked on at once', async () => {
  const { started, turns, join } = driven()
  const first = join('a1')
  await settled()
  started[0]?.end([TENANT_BUSY])
  await settled()
  turns[0]?.come({ wasFree: true })
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
