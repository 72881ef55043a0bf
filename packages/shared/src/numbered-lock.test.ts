import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { leaveNumberedLock, takeNumberedLock } from './numbered-lock.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-numbered-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
})

/** Takes the lock as this process; throws when another has it. `isHeld`: what it makes of who had it. */
async function take(who: string, isHeld: () => Promise<boolean> = async () => false) {
  const taken = await takeNumberedLock({ dir, name: 'it', text: who, draft: who, isHeld })
  if ('heldBy' in taken) throw new Error(`held by ${taken.heldBy}`)
  return taken
}

test('no number is given twice, however often the lock is left', async () => {
  for (const number of [1, 2, 3]) {
    const taken = await take('one')
    expect(taken.number).toBe(number)
    await leaveNumberedLock(taken.path)
  }
  expect(await readdir(dir)).toEqual(['it.3.pid'])
})

test('who was slow takes no number that others have passed meanwhile', async () => {
  await take('gone')
  let isFirst = true
  // While the slow one looks whether the first holder lives, another takes the lock and leaves it, and a
  // third has it.
  const slow = take('slow', async () => {
    if (!isFirst) return true
    isFirst = false
    await leaveNumberedLock((await take('quick')).path)
    expect((await take('third')).number).toBe(3)
    return false
  })
  await expect(slow).rejects.toThrow('held by third')
  expect(await readdir(dir)).toEqual(['it.3.pid'])
})
