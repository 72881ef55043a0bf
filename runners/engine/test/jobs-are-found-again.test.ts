import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RunnerReplies } from '../../../test/support/runner-replies.ts'
import type { SpawnedRunner } from '../../../test/support/spawned-animatic.ts'
import {
  loadedEngine,
  servedWan,
  spawnEngineRunner,
  startEngine,
  wanClip,
  wanGeneration,
} from '../../../test/support/spawned-engine.ts'
import type { StandInEngine } from '../../../test/support/stand-in-engine.ts'
import { SGLANG } from '../src/dialects/sglang.ts'
import { Engine } from '../src/engine.ts'
import { EngineHttp } from '../src/engine-http.ts'
import { LeftJobs } from '../src/left-jobs.ts'

/** The checkpoint as a worker keeps it: the runner's folder may be gone by the time it is needed. */
async function keptCheckpoint(runner: RunnerReplies, id: string): Promise<{ step: number; path: string }> {
  const { step, path } = await runner.reply('checkpoint', id)
  const folder = mkdtempSync(join(tmpdir(), 'engine-checkpoint-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const kept = join(folder, 'resume.checkpoint')
  copyFileSync(path, kept)
  return { step, path: kept }
}

/** A process that drives the engine, as a worker has one, and another one after its death. */
async function processOf(engine: StandInEngine): Promise<SpawnedRunner> {
  const runner = spawnEngineRunner({ SLUICE_ENGINE_URL: engine.url })
  runner.send({ type: 'load', model: 'wan', models: [servedWan()] })
  await runner.reply('ready')
  return runner
}

const posts = (engine: StandInEngine) => engine.calls.filter(({ method }) => method === 'POST').length

describe('a runner that dies', () => {
  test('leaves its job in the engine, and the next one finds it there and does not make it twice', async () => {
    const { engine } = await startEngine('sglang')
    const runner = await processOf(engine)
    runner.generate('video_a-1', wanGeneration())
    const job = await engine.job(1)
    engine.begin(job, 50)
    const resume = await keptCheckpoint(runner, 'video_a-1')
    runner.child.kill('SIGKILL')
    await runner.exited
    const next = await processOf(engine)
    next.generate('video_a-2', wanGeneration(), resume)
    await next.reply('progress', 'video_a-2', ({ step }) => step === 10)
    engine.complete(job, await wanClip())
    expect(await next.reply('finished', 'video_a-2')).toMatchObject({ tokens: 7 * 2 * 3 * 19 })
    // It saw only a part of it, so it says nothing of the pace.
    expect((await next.reply('finished', 'video_a-2')).timings).not.toHaveProperty('denoise')
    expect(posts(engine)).toBe(1)
  })

  test('after its job was completed: the next one fetches it', async () => {
    const { engine } = await startEngine('vllm-omni')
    const runner = await processOf(engine)
    runner.generate('video_a-1', wanGeneration())
    const job = await engine.job(1)
    const resume = await keptCheckpoint(runner, 'video_a-1')
    runner.child.kill('SIGKILL')
    await runner.exited
    engine.complete(job, await wanClip())
    const next = await processOf(engine)
    next.generate('video_a-2', wanGeneration(), resume)
    await next.reply('finished', 'video_a-2')
    expect(posts(engine)).toBe(1)
  })
})

test.each(['was lost by the engine', 'failed in the engine'])(
  'a job of an earlier attempt that %s is made again, with a checkpoint that replaces the first',
  async (what) => {
    const { engine } = await startEngine('vllm-omni')
    const runner = await processOf(engine)
    runner.generate('video_a-1', wanGeneration())
    const first = await engine.job(1)
    const resume = await keptCheckpoint(runner, 'video_a-1')
    runner.child.kill('SIGKILL')
    await runner.exited
    if (what.startsWith('was lost')) engine.jobs.delete(first.id)
    else engine.fail(first, { code: 500, message: 'the engine was shut down' })
    const next = await processOf(engine)
    next.generate('video_a-2', wanGeneration(), resume)
    engine.complete(await engine.job(2), await wanClip())
    expect(await next.reply('checkpoint', 'video_a-2')).toMatchObject({ step: 2 })
    expect(await next.reply('finished', 'video_a-2')).toMatchObject({ tokens: 7 * 2 * 3 * 20 })
  },
)

test('a job that the engine loses while it is followed is made again, and one that is lost each time fails', async () => {
  const { engine, runner } = await loadedEngine('vllm-omni')
  runner.generate('video_a-1', wanGeneration())
  engine.jobs.delete((await engine.job(1)).id)
  engine.complete(await engine.job(2), await wanClip())
  await runner.reply('finished', 'video_a-1')
  runner.generate('video_b-1', wanGeneration())
  for (const count of [3, 4, 5, 6]) engine.jobs.delete((await engine.job(count)).id)
  expect(await runner.reply('failed', 'video_b-1')).toMatchObject({
    code: 'internal',
    retryable: true,
    message: 'the engine lost 4 jobs of this video',
  })
})

test('a checkpoint of another generation, or of another runner, is refused', async () => {
  const { engine, runner } = await loadedEngine('vllm-omni')
  runner.generate('video_a-1', wanGeneration())
  const resume = await keptCheckpoint(runner, 'video_a-1')
  runner.send({ type: 'cancel', id: 'video_a-1' })
  await runner.reply('cancelled', 'video_a-1')
  runner.generate('video_a-2', wanGeneration({ seed: 43 }), resume)
  expect(await runner.reply('failed', 'video_a-2')).toMatchObject({
    code: 'bad_input',
    message: expect.stringContaining('another generation'),
  })
  runner.generate('video_a-3', wanGeneration(), { step: 1, path: '/etc/hostname' })
  expect(await runner.reply('failed', 'video_a-3')).toMatchObject({ message: expect.stringContaining('no') })
  expect(posts(engine)).toBe(1)
})

describe('a yielded video', () => {
  test('leaves its job in the engine, which the same video takes back', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('video_a-1', wanGeneration())
    const job = await engine.job(1)
    engine.begin(job)
    await runner.reply('progress', 'video_a-1', ({ phase }) => phase === 'denoise')
    runner.send({ type: 'yield', id: 'video_a-1' })
    const { step, path = '' } = await runner.reply('yielded', 'video_a-1')
    expect(step).toBe(1)
    runner.generate('video_a-2', wanGeneration(), { step, path })
    engine.complete(job, await wanClip())
    await runner.reply('finished', 'video_a-2')
    expect(posts(engine)).toBe(1)
  })

  test('makes room for the next one where the engine can stop a job', async () => {
    const { engine, runner } = await loadedEngine('vllm-omni')
    runner.generate('video_a-1', wanGeneration())
    await engine.job(1)
    await runner.reply('checkpoint', 'video_a-1')
    runner.send({ type: 'yield', id: 'video_a-1' })
    await runner.reply('yielded', 'video_a-1')
    expect(engine.jobs.size).toBe(1)
    runner.generate('video_b-1', wanGeneration())
    const second = await engine.job(2)
    expect([...engine.jobs.keys()]).toEqual([second.id])
    const order = engine.calls.filter(({ method }) => method !== 'GET').map(({ method }) => method)
    expect(order).toEqual(['POST', 'DELETE', 'POST'])
  })

  test('is waited for by the next one where the engine stops none', async () => {
    const { engine, runner } = await loadedEngine('sglang')
    runner.generate('video_a-1', wanGeneration())
    const first = await engine.job(1)
    await runner.reply('checkpoint', 'video_a-1')
    runner.send({ type: 'yield', id: 'video_a-1' })
    await runner.reply('yielded', 'video_a-1')
    runner.generate('video_b-1', wanGeneration())
    await runner.reply('progress', 'video_b-1')
    expect(engine.made).toBe(1)
    engine.complete(first, await wanClip())
    await engine.job(2)
  })

  test('is waited for no longer than the bound, though it never ends', async () => {
    const { engine, submit } = await loadedEngine('sglang')
    const { job } = await submit('video_a-1')
    const http = new EngineHttp({ url: engine.url, key: null })
    const left = new LeftJobs(new Engine(http, SGLANG, 1_000), 0)
    left.add(job.id)
    const said: string[] = []
    await left.clear(new AbortController().signal, (line) => said.push(line))
    expect(said).toEqual([expect.stringContaining(`job ${job.id}, which its video left, does not end`)])
  })
})
