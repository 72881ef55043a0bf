import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { Interruption } from './interruption.ts'
import { pause } from './pause.ts'

describe('an interruption', () => {
  it('ends what is waited for, and what comes later, with the first reason', async () => {
    const interruption = new Interruption()
    const waiting = interruption.during(new Promise(() => {}))
    interruption.interrupt(new Error('the connection ended'))
    interruption.interrupt(new Error('something else'))
    await expect(waiting).rejects.toThrow('the connection ended')
    await expect(interruption.during(new Promise(() => {}))).rejects.toThrow('the connection ended')
  })

  it('is nothing to work that ends by itself', async () => {
    const interruption = new Interruption()
    expect(await interruption.during(Promise.resolve(1))).toBe(1)
    await expect(interruption.during(Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  })

  it('keeps nothing of work that is over, however long it lives itself', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const interruption = new Interruption()
    const results: WeakRef<object>[] = []
    for (let index = 0; index < 10; index += 1)
      results.push(new WeakRef(await interruption.during(Promise.resolve({ index }))))
    await pause(0)
    collect()
    expect(results.filter((result) => result.deref() !== undefined).length).toBeLessThan(2)
    interruption.interrupt(new Error('at last'))
  })
})
