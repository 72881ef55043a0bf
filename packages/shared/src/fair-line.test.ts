import { expect, test } from 'vitest'
import { Comings, FairLine, LineFullError } from './fair-line.ts'

/** Work that ends when it is told to. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { work: () => promise, end: resolve }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a tenant that has more than its places waits behind itself, and never before another', async () => {
  const line = new FairLine({ places: 4, placesOfTenant: 2, waitingOfTenant: 100 })
  const crowd = Array.from({ length: 50 }, held)
  let started = 0
  const done = crowd.map(({ work }) =>
    line.run('crowd', () => {
      started += 1
      return work()
    }),
  )
  await settled()
  expect(started).toBe(2)
  expect(await line.run('other', async () => 'at once')).toBe('at once')
  for (const { end } of crowd) end()
  await Promise.all(done)
  expect(started).toBe(50)
})

test('tenants take turns when all places are taken, and the places are all given back', async () => {
  const line = new FairLine({ places: 1, placesOfTenant: 1, waitingOfTenant: 100 })
  const first = held()
  const order: string[] = []
  const note = (name: string) => line.run(name, async () => void order.push(name))
  const all = [line.run('a', first.work), ...['a', 'a', 'a', 'b', 'b', 'c'].map(note)]
  first.end()
  await Promise.all(all)
  expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'a'])
  expect(await line.run('a', async () => 'free')).toBe('free')
})

test('what waits beyond its bound, too long or for nobody is refused, and leaves its place', async () => {
  const line = new FairLine({ places: 1, placesOfTenant: 1, waitingOfTenant: 1, waitMsMax: 5 })
  const running = held()
  const done = line.run('a', running.work)
  const late = line.run('a', async () => {})
  const refused = Promise.allSettled([line.run('a', async () => {}), late])
  expect(await refused).toMatchObject([
    { reason: new LineFullError('1 wait already') },
    { reason: new LineFullError('waited 5 ms') },
  ])
  const gone = new AbortController()
  const left = line.run('a', async () => {}, gone.signal)
  gone.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  running.end()
  await done
  expect(await line.run('b', async () => 'free')).toBe('free')
})

test('a light piece waits behind a heavy one of the same tenant, and comes when that one leaves', async () => {
  const line = new FairLine({ places: 10, placesOfTenant: 8, waitingOfTenant: 10 })
  await line.enter('a', 6)
  const gone = new AbortController()
  const heavy = line.enter('a', 5, gone.signal)
  let isIn = false
  const light = line.enter('a', 1).then(() => {
    isIn = true
  })
  await settled()
  expect(isIn).toBe(false)
  gone.abort(new Error('gone'))
  await expect(heavy).rejects.toThrow('gone')
  await light
}, 5_000)

test('weights count: a heavy piece waits for room, a small one of another tenant goes before it', async () => {
  const line = new FairLine({ places: 10, placesOfTenant: 8, waitingOfTenant: 10 })
  const leave = await line.enter('a', 6)
  let isIn = false
  const heavy = line.enter('a', 5).then((out) => {
    isIn = true
    return out
  })
  const small = await line.enter('b', 4)
  await settled()
  expect(isIn).toBe(false)
  leave()
  leave()
  small()
  const out = await heavy
  out()
  expect(await line.run('c', async () => 'free')).toBe('free')
})

test('a tenant that keeps its own waiting rests its places once another has come and while there is too little for both, and not else', async () => {
  let isScarce = true
  const rest = { times: 1e9, isScarce: () => isScarce, comings: new Comings() }
  const line = new FairLine({ places: 9, placesOfTenant: 1, waitingOfTenant: 9, rest })
  let done = 0
  const work = async () => {
    done += 1
  }
  await Promise.all([line.run('a', work), line.run('a', work)])
  await settled()
  expect(done).toBe(2)
  await line.run('b', async () => {})
  const rested = [line.run('a', work), line.run('a', work)]
  await settled()
  expect(done).toBe(3)
  await Promise.all(rested)
  expect(done).toBe(4)
  isScarce = false
  await line.run('b', async () => {})
  const unrested = [line.run('a', work), line.run('a', work)]
  await settled()
  expect(done).toBe(6)
  await Promise.all(unrested)
})

test('a tenant has all its places while there is plenty, and fewer beside another while there is too little', async () => {
  let isScarce = true
  const rest = { times: 0, isScarce: () => isScarce, comings: new Comings(), placesOfTenant: 1 }
  const line = new FairLine({ places: 9, placesOfTenant: 3, waitingOfTenant: 9, rest })
  const entered = async () => {
    let count = 0
    const leaves: (() => void)[] = []
    for (let piece = 0; piece < 4; piece += 1) {
      line.enter('a', 1).then(
        (leave) => {
          count += 1
          leaves.push(leave)
        },
        () => {},
      )
    }
    await settled()
    const first = count
    while (leaves.length > 0) {
      leaves.pop()?.()
      await settled()
    }
    return first
  }
  expect(await entered()).toBe(3)
  await line.run('b', async () => {})
  expect(await entered()).toBe(1)
  isScarce = false
  expect(await entered()).toBe(3)
})
