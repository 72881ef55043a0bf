import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { CheckpointUploads } from './checkpoint-uploads.ts'

/** A runner's checkpoint file and uploads that go on when the test says so. */
function setting() {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-checkpoints-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const runnerPath = join(dir, 'runner.checkpoint')
  const stored: string[] = []
  const reported: number[] = []
  const pending: PromiseWithResolvers<void>[] = []
  const uploads = new CheckpointUploads({
    folder: dir,
    ended: new AbortController().signal,
    async upload(path) {
      const gate = Promise.withResolvers<void>()
      pending.push(gate)
      await gate.promise
      const bytes = readFileSync(path)
      stored.push(bytes.toString())
      return bytes.length
    },
    onUploaded: (step) => reported.push(step),
    log: pino({ level: 'silent' }),
  })
  /** The runner has a new checkpoint and says so. */
  const add = (step: number) => {
    rmSync(runnerPath, { force: true })
    writeFileSync(runnerPath, `step ${step}`)
    uploads.add(step, runnerPath)
  }
  const next = async (result: 'arrives' | 'fails') => {
    await expect.poll(() => pending.length).toBe(1)
    const gate = pending.shift()
    if (result === 'arrives') gate?.resolve()
    else gate?.reject(new Error('the store is away'))
  }
  return { dir, uploads, add, next, stored, reported, runnerPath }
}

test('while a checkpoint is uploaded only the newest of the others waits, with the bytes it had', async () => {
  const { dir, uploads, add, next, stored, reported } = setting()
  for (const step of [1, 2, 3]) {
    add(step)
    await Promise.resolve()
  }
  await next('arrives')
  await next('arrives')
  await uploads.finished()
  expect(stored).toEqual(['step 1', 'step 3'])
  expect(reported).toEqual([1, 3])
  expect(uploads.uploadedStep).toBe(3)
  expect(readdirSync(dir)).toEqual(['runner.checkpoint'])
})

test('a checkpoint that is handed over twice, as before a yield, is stored', async () => {
  const { uploads, add, next, runnerPath, reported } = setting()
  add(1)
  await Promise.resolve()
  add(2)
  uploads.add(2, runnerPath)
  await next('arrives')
  await next('arrives')
  await uploads.finished()
  expect(reported).toEqual([1, 2])
})

test('a checkpoint that cannot be kept or uploaded is given up, and the next one is stored', async () => {
  const { uploads, add, next, reported } = setting()
  uploads.add(1, '/no/such/checkpoint')
  add(2)
  await next('fails')
  await uploads.finished()
  add(3)
  await next('arrives')
  await uploads.finished()
  expect(reported).toEqual([3])
})
