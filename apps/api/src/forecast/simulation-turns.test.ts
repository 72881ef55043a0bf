import { expect, test } from 'vitest'
import { HangsError } from './hang-guard.ts'
import { type Purpose, SimulationTurns } from './simulation-turns.ts'

const settled = () => new Promise((resolve) => setTimeout(resolve, 1))

/** Simulations that end when they are told to, one by one. */
function driven(options: { waitMsMax?: number } = {}) {
  const turns = new SimulationTurns(options)
  const started: string[] = []
  const ends: (() => void)[] = []
  const ask = (purpose: Purpose, accountId: string) =>
    turns.run(purpose, accountId, () => {
      started.push(`${purpose} of ${accountId}`)
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(resolve)
      return promise
    })
  const endAll = async () => {
    for (let ended = 0; ended < ends.length; ended += 1) {
      expect(ends).toHaveLength(ended + 1)
      ends[ended]?.()
      await settled()
    }
  }
  return { ask, started, endAll }
}

test('one is simulated at a time, and accounts come in turn: who asks for many keeps only itself waiting', async () => {
  const { ask, started, endAll } = driven()
  const all = ['a', 'a', 'a', 'b', 'b', 'c'].map((account) => ask('look', account))
  await settled()
  expect(started).toEqual(['look of a'])
  await endAll()
  await Promise.all(all)
  expect(started.map((one) => one.at(-1))).toEqual(['a', 'a', 'b', 'c', 'a', 'b'])
})

test('a promise waits for one look at most, however many accounts look', async () => {
  const { ask, started, endAll } = driven()
  const all = ['a', 'b', 'c', 'd'].map((account) => ask('look', account))
  await settled()
  all.push(ask('promise', 'e'), ask('promise', 'f'))
  await endAll()
  await Promise.all(all)
  expect(started).toEqual([
    'look of a',
    'promise of e',
    'look of b',
    'promise of f',
    'look of c',
    'look of d',
  ])
})

test('one that fails keeps nobody waiting', async () => {
  const turns = new SimulationTurns()
  const failing = turns.run('look', 'a', () => Promise.reject(new Error('broken')))
  const next = turns.run('look', 'a', () => Promise.resolve('done'))
  await expect(failing).rejects.toThrow('broken')
  expect(await next).toBe('done')
})

test('whose turn does not come soon is told so, and nothing is simulated for it', async () => {
  const { ask, started, endAll } = driven({ waitMsMax: 1 })
  const first = ask('look', 'a')
  await expect(ask('look', 'b')).rejects.toThrow(HangsError)
  await endAll()
  await first
  expect(started).toEqual(['look of a'])
})
