import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readJsonLines } from '@sluice/shared/lines'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { SpawnedRunner } from '../support/spawned-animatic.ts'
import { ENGINE_MAIN, servedWan, wanClip, wanGeneration } from '../support/spawned-engine.ts'

const REQUIREMENTS = 'test/engines/requirements.txt'
const python = process.env.ENGINES_PYTHON ?? ''
if (python === '') {
  throw new Error(
    'ENGINES_PYTHON is not set: it names a Python with the engines, such as of ' +
      `python3 -m venv /tmp/engines && /tmp/engines/bin/pip install --no-deps -r ${REQUIREMENTS}`,
  )
}
const HERE = fileURLToPath(new URL('.', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'engines-'))
afterAll(() => rmSync(folder, { recursive: true }))

beforeAll(() => {
  try {
    execFileSync(python, ['-B', '../../runners/open-sora/tests/installed.py', 'requirements.txt'], {
      cwd: HERE,
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } catch (error) {
    const why = (error as { stdout?: string }).stdout || String(error)
    throw new Error(
      `${python} -m pip install --no-deps -r ${REQUIREMENTS} is needed (ENGINES_PYTHON): ${why}`,
    )
  }
})

/** What a server prints: its port, each generation that it was asked for, each that it was told to abort. */
type Said = Record<string, unknown>

/** An engine's own HTTP layer, and the real runner's process that drives it. */
class Driven {
  readonly said: Said[] = []
  readonly server: ChildProcess
  runner: SpawnedRunner | undefined
  #log = ''
  url = ''

  constructor(program: string, clip: string, work: string) {
    this.server = spawn(python, ['-B', program, clip, work], {
      cwd: HERE,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH },
    })
    const { stdout, stderr } = this.server
    if (stdout === null || stderr === null) throw new Error('the server has no pipes')
    readJsonLines(
      stdout,
      (line) => this.said.push(JSON.parse(line)),
      () => undefined,
    )
    stderr.on('data', (chunk: Buffer) => {
      this.#log += String(chunk)
    })
  }

  async start(): Promise<void> {
    const { port } = await this.hears(({ port }) => port !== undefined)
    this.url = `http://127.0.0.1:${port}`
    this.runner = new SpawnedRunner({ SLUICE_ENGINE_URL: this.url }, ENGINE_MAIN)
    this.runner.send({ type: 'load', model: 'wan', models: [servedWan()] })
  }

  /** The line of the server that is meant, already there or to come. */
  async hears(isMeant: (said: Said) => boolean): Promise<Said> {
    const look = async () => this.said.find(isMeant)
    const found = await eventually(
      look,
      (said) => said !== undefined || this.server.exitCode !== null,
      60_000,
    )
    if (found === undefined) throw new Error(`the server ended: ${this.#log}`)
    return found
  }

  /** The jobs that the engine lists. */
  async jobs(): Promise<string[]> {
    const { data } = (await (await fetch(`${this.url}/v1/videos`)).json()) as { data: { id: string }[] }
    return data.map(({ id }) => id)
  }

  async stop(): Promise<void> {
    await this.runner?.close()
    this.server.kill()
    if (this.server.exitCode === null) await once(this.server, 'exit')
  }
}

/** What reaches the generator of `wanGeneration`: what was paid for. */
const ASKED = { size: [96, 64], num_frames: 25, fps: 24, steps: 20, guidance: 7.5, seed: 42, image: null }

describe.each(['sglang', 'vllm-omni'] as const)("%s's own routes", (engine) => {
  let driven: Driven
  let runner: SpawnedRunner
  beforeAll(async () => {
    const clip = join(folder, 'clip.mp4')
    writeFileSync(clip, await wanClip())
    driven = new Driven(`${engine.replace('-', '_')}_server.py`, clip, join(folder, engine))
    await driven.start()
    if (driven.runner === undefined) throw new Error('there is no runner')
    runner = driven.runner
  })
  afterAll(() => driven?.stop())

  test('are recognised; a video from text is made as it was paid for, downloaded, and removed once it is stored', async () => {
    expect(await runner.reply('ready')).toMatchObject({
      device: engine,
      models: ['wan'],
      modes: ['t2v', 'i2v'],
    })
    const workdir = runner.generate(
      't-1',
      wanGeneration({ prompt: '"1984", 纸船 🚤', negative_prompt: 'text' }),
    )
    const { files, ...finished } = await runner.reply('finished', 't-1')
    expect(finished).toMatchObject({ seed: 42, tokens: 7 * 2 * 3 * 20 })
    expect(readFileSync(files.video).equals(await wanClip())).toBe(true)
    expect(await driven.hears(({ prompt }) => prompt !== undefined)).toEqual({
      ...ASKED,
      prompt: '"1984", 纸船 🚤',
      negative_prompt: 'text',
    })
    expect(await driven.jobs()).toHaveLength(1)
    rmSync(workdir, { recursive: true })
    await eventually(
      () => driven.jobs(),
      (jobs) => jobs.length === 0,
    )
  })

  test('take an image as the first frame', async () => {
    const path = join(folder, 'image.png')
    writeFileSync(
      path,
      await sharp({ create: { width: 96, height: 64, channels: 3, background: 'red' } })
        .png()
        .toBuffer(),
    )
    const request = wanGeneration({ mode: 'i2v', i2v_condition: 'head', prompt: 'from an image' })
    runner.generate('i-1', request, undefined, [{ position: 'head', path }])
    const { files } = await runner.reply('finished', 'i-1')
    expect(readFileSync(files.video).equals(await wanClip())).toBe(true)
    expect(await driven.hears(({ prompt }) => prompt === 'from an image')).toMatchObject({
      ...ASKED,
      image: [96, 64],
    })
  })

  test('say why a job failed', async () => {
    runner.generate('f-1', wanGeneration({ prompt: 'fail' }))
    expect(await runner.reply('failed', 'f-1')).toMatchObject({
      code: 'internal',
      retryable: true,
      message: expect.stringContaining('a kernel broke'),
    })
  })

  test('forget a cancelled job; vLLM-Omni aborts its work, SGLang says how far it was', async () => {
    runner.generate('c-1', wanGeneration({ prompt: 'wait' }))
    const step = engine === 'sglang' ? 9 : 1
    await runner.reply('progress', 'c-1', (said) => said.phase === 'denoise' && said.step === step)
    const before = await driven.jobs()
    runner.send({ type: 'cancel', id: 'c-1' })
    expect(await runner.reply('cancelled', 'c-1')).toMatchObject({ step })
    await eventually(
      () => driven.jobs(),
      (jobs) => jobs.length === before.length - 1,
    )
    if (engine === 'vllm-omni') await driven.hears(({ aborted }) => aborted !== undefined)
  })
})
