import { expect, test } from 'vitest'
import { HangGuard, HangsError } from './hang-guard.ts'

test('work that hangs is given up, those that come while it does are told at once, and when it ends all goes on', async () => {
  const guard = new HangGuard({ limitMs: 1, againMs: 600_000 })
  const hung = Promise.withResolvers<string>()
  await expect(guard.run(() => hung.promise)).rejects.toThrow(HangsError)
  let wasStarted = false
  const start = async () => {
    wasStarted = true
    return 'done'
  }
  await expect(guard.run(start)).rejects.toThrow(HangsError)
  expect(wasStarted).toBe(false)
  hung.resolve('too late')
  await hung.promise
  expect(await new HangGuard({ limitMs: 600_000, againMs: 0 }).run(start)).toBe('done')
  await expect(guard.run(() => Promise.reject(new Error('its own')))).rejects.toThrow('its own')
})

test('while it hangs one is tried again after a while', async () => {
  const guard = new HangGuard({ limitMs: 1, againMs: 0 })
  await expect(guard.run(() => new Promise(() => {}))).rejects.toThrow(HangsError)
  const asked = Promise.withResolvers<string>()
  const again = guard.run(() => asked.promise)
  asked.resolve('done')
  expect(await again).toBe('done')
})
