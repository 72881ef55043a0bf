import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPEN_SORA_2 } from '@sluice/shared/models/built-in/open-sora'
import { makesOf } from '@sluice/shared/models/makes'
import { SettingErrors } from '@sluice/shared/settings'
import { expect, onTestFinished, test } from 'vitest'
import { splitCommand } from './command-words.ts'
import { readWorkerConfig } from './config.ts'

const needed = {
  SLUICE_API_URL: 'http://127.0.0.1:3000/',
  SLUICE_WORKER_TOKEN: 'a-token-of-32-characters-or-more-',
  SLUICE_QUEUE_URL: 'postgres://a:b@127.0.0.1/sluice',
}

test.each([
  ['python3 -m runner', ['python3', '-m', 'runner']],
  [`'/opt/my runner' --name="a \\"b\\" c" d`, ['/opt/my runner', '--name=a "b" c', 'd']],
  ['["python3", "-m", "my runner"]', ['python3', '-m', 'my runner']],
  ['echo $HOME;rm', ['echo', '$HOME;rm']],
])('the command %s is split without a shell', (text, words) => {
  expect(splitCommand('SLUICE_RUNNER_COMMAND', text)).toEqual(words)
})

test.each(['', '   ', "a 'b", '[1]', '["a"'])('the command %j is refused by name', (text) => {
  expect(() => splitCommand('SLUICE_RUNNER_COMMAND', text)).toThrow(/SLUICE_RUNNER_COMMAND/)
})

test('every setting at fault is named at once, and no secret is shown', () => {
  const wrong = {
    SLUICE_API_URL: 'ftp://x',
    SLUICE_QUEUE_URL: 'mysql://root:hunter2@db/x',
    SLUICE_SLOTS: '0;;1',
    SLUICE_POOL: 'Ä',
    SLUICE_COST_PER_HOUR: '1.2345678',
    SLUICE_GRACE_MS: '-1',
    SLUICE_RUNNER: 'sora',
  }
  let message = ''
  try {
    readWorkerConfig(wrong)
  } catch (error) {
    expect(error).toBeInstanceOf(SettingErrors)
    message = String(error)
  }
  for (const name of [...Object.keys(wrong), 'SLUICE_WORKER_TOKEN']) expect(message).toContain(name)
  expect(message).not.toContain('hunter2')
})

test('REDIS_URL goes before SLUICE_QUEUE_URL, and defaults are those of the animatic runner', () => {
  const config = readWorkerConfig({ ...needed, REDIS_URL: 'redis://127.0.0.1:6379' })
  expect(config).toMatchObject({
    apiUrl: 'http://127.0.0.1:3000',
    queue: { backend: 'redis' },
    models: [{ id: 'animatic' }],
    pool: 'animatic',
    slots: ['0'],
  })
})

test('several models take their weights and what they make from the catalogue, in the order in which they are named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-worker-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'models.json')
  const lora = { path: '/models/ink.safetensors', strength: 0.8 }
  writeFileSync(
    path,
    JSON.stringify({
      models: [{ id: 'ink-wash', base: 'open-sora-2', weights: { lora }, prices: { '256px': '1' } }],
    }),
  )
  const env = { ...needed, SLUICE_RUNNER: 'open-sora', SLUICE_CATALOGUE: path }
  const makes = makesOf(OPEN_SORA_2)
  expect(readWorkerConfig(env).models).toEqual([{ id: 'open-sora-2', makes }])
  expect(readWorkerConfig({ ...env, SLUICE_MODEL: 'ink-wash, open-sora-2' }).models).toEqual([
    { id: 'ink-wash', lora, makes },
    { id: 'open-sora-2', makes },
  ])
  for (const wrong of ['ink-wash,ink-wash', 'ink-wash,unknown', ',', 'ink-wash,']) {
    expect(() => readWorkerConfig({ ...env, SLUICE_MODEL: wrong }), wrong).toThrow(
      /SLUICE_MODEL is .*ink-wash/,
    )
  }
  // A runner of one's own may make what no catalogue of this service names.
  expect(readWorkerConfig({ ...needed, SLUICE_MODEL: 'of-my-own' }).models).toEqual([{ id: 'of-my-own' }])
  writeFileSync(path, '{"models": [{}]}')
  expect(() => readWorkerConfig(env)).toThrow(/SLUICE_CATALOGUE/)
})

test('the animatic runner makes what the catalogue makes from it, and stands in for others only where the settings say so', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-worker-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'models.json')
  const models = [
    { id: 'ink', base: 'animatic' },
    { id: 'studio', base: 'open-sora-2' },
  ]
  writeFileSync(path, JSON.stringify({ models }))
  const standsInFor = (extra: Record<string, string>) =>
    readWorkerConfig({ ...needed, SLUICE_CATALOGUE: path, ...extra }).runner.environment
      .SLUICE_ANIMATIC_MODELS
  expect(standsInFor({})).toBe('animatic,ink')
  expect(standsInFor({ SLUICE_ANIMATIC_MODELS: 'studio' })).toBe('studio')
  expect(standsInFor({ SLUICE_RUNNER: 'open-sora' })).toBeUndefined()
})

test('the environment of a runner says which variable names its devices', () => {
  const runnerOf = (extra: Record<string, string>) => readWorkerConfig({ ...needed, ...extra }).runner
  expect(runnerOf({}).environment.SLUICE_DEVICE_VARIABLE).toBe('CUDA_VISIBLE_DEVICES')
  const ascend = runnerOf({ SLUICE_DEVICE_VARIABLE: 'ASCEND_RT_VISIBLE_DEVICES' })
  expect(ascend.environment.SLUICE_DEVICE_VARIABLE).toBe('ASCEND_RT_VISIBLE_DEVICES')
  expect(ascend.deviceVariable).toBe('ASCEND_RT_VISIBLE_DEVICES')
})

test('the diffusers runner gets its settings, its package and what the Python runners share', () => {
  const config = readWorkerConfig({
    ...needed,
    SLUICE_RUNNER: 'diffusers',
    SLUICE_MODEL: 'wan-2.2-5b',
    SLUICE_DIFFUSERS_PYTHON: '/opt/diffusers/bin/python',
    SLUICE_DIFFUSERS_OFFLOAD: 'model',
  })
  expect(config.runner.command).toEqual(['/opt/diffusers/bin/python', '-m', 'sluice_diffusers'])
  expect(config.runner.environment).toMatchObject({
    SLUICE_DIFFUSERS_OFFLOAD: 'model',
    PYTHONPATH: expect.stringMatching(/runners\/diffusers:.*runners\/python$/),
  })
})

test('an open-sora pool is named after its device, and one connection per slot and two more go to PostgreSQL', () => {
  const config = readWorkerConfig({
    ...needed,
    SLUICE_RUNNER: 'open-sora',
    SLUICE_SLOTS: '0;1;2;3',
    OPENSORA_HOME: '/opt/open-sora',
  })
  expect(config).toMatchObject({
    pool: null,
    models: [{ id: 'open-sora-2' }],
    queue: { backend: 'postgres', connectionsMax: 6 },
  })
  expect(config.runner.command).toEqual(['python3', '-m', 'sluice_open_sora'])
  expect(config.runner.environment).toMatchObject({
    OPENSORA_HOME: '/opt/open-sora',
    PYTHONPATH: expect.stringMatching(/runners\/open-sora:.*runners\/python$/),
  })
})

test('the settings of an engine are judged with all others, and given to the runner that drives it alone', () => {
  const engine = { SLUICE_ENGINE_URL: 'http://127.0.0.1:8000/v1/', SLUICE_ENGINE_KEY: 'the-engines-key' }
  const driving = readWorkerConfig({ ...needed, ...engine, SLUICE_RUNNER: 'engine' })
  expect(driving).toMatchObject({ pool: 'engine', runner: { environment: engine } })
  expect(driving.runner.command.at(-1)).toMatch(/runners\/engine\/src\/main\.ts$/)
  expect(JSON.stringify(readWorkerConfig({ ...needed, ...engine }))).not.toContain('the-engines-key')
  expect(() =>
    readWorkerConfig({
      ...needed,
      SLUICE_RUNNER: 'engine',
      SLUICE_ENGINE_URL: 'http://user:hunter2@host',
      SLUICE_ENGINE_KEY: 'a',
      SLUICE_ENGINE_KEY_FILE: '/nowhere',
    }),
  ).toThrow(/SLUICE_ENGINE_URL.*\n.*SLUICE_ENGINE_KEY_FILE|SLUICE_ENGINE_KEY_FILE.*\n.*SLUICE_ENGINE_URL/)
})

test('a runner sees what torch compiles with', () => {
  const given = {
    CC: '/usr/bin/clang',
    TORCHINDUCTOR_CACHE_DIR: '/cache/inductor',
    TORCHDYNAMO_DISABLE: '1',
    TRITON_CACHE_DIR: '/cache/triton',
  }
  expect(readWorkerConfig({ ...needed, ...given }).runner.environment).toMatchObject(given)
})
