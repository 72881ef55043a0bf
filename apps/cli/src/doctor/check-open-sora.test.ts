import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { checkOpenSora, checkProbe, OPEN_SORA_COMMIT, type Probe } from './check-open-sora.ts'
import { checkRunner } from './check-runner.ts'
import type { Finding } from './finding.ts'

const home = mkdtempSync(join(tmpdir(), 'open-sora-home-'))
afterAll(() => rmSync(home, { recursive: true }))

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(home, path)), { recursive: true })
  writeFileSync(join(home, path), content)
}

/** A safetensors file of one tensor of `shape` in bf16, cut off after `data` bytes of it. */
function safetensors(shape: number[], data: number): Buffer {
  return safetensorsOf({ weight: shape }, data)
}

function safetensorsOf(shapes: Record<string, number[]>, data?: number): Buffer {
  let end = 0
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = end
    end += shape.reduce((product, side) => product * side, 2)
    return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }]
  })
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.alloc(data ?? end)])
}

/** Of a host where nothing was looked at that a test is not about. */
const PROBE: Probe = {
  python: [3, 11, 0],
  torch: null,
  packages: {},
  compiler: '/usr/bin/gcc',
  python_headers: true,
  package_found: true,
  commit: OPEN_SORA_COMMIT,
  weights: [],
  models: [],
  attention: null,
}
const findingsOf = (changes: Partial<Probe>, env: NodeJS.ProcessEnv = {}) =>
  checkProbe({ ...PROBE, ...changes }, { OPENSORA_HOME: '/x', ...env }, 'python3')
/** What torch says on a host whose GPUs have so much memory. */
const torchWith = (gib: number): Probe['torch'] => ({
  version: '2.4.0',
  cuda: '12.4',
  devices: [{ name: 'GPU', bytes: gib * 2 ** 30 }],
})

/** As docs/gpu-worker.md describes one. */
const EIGHT_BITS = { id: 'open-sora-2-int8', base: 'open-sora-2', precision: 'int8' }

const statesOf = (findings: Finding[], part: string) =>
  findings.filter((finding) => finding.part === part).map(({ state }) => state)

test('a real installation is checked: its commit and the size of each weight file, also one that is cut off', async () => {
  write('opensora/__init__.py', '')
  write('.git/HEAD', 'ref: refs/heads/main\n')
  write('.git/packed-refs', `# pack-refs with: peeled\n${OPEN_SORA_COMMIT} refs/heads/main\n`)
  write('ckpts/Open_Sora_v2.safetensors', safetensors([500, 1000], 1_000_000))
  write('ckpts/hunyuan_vae.safetensors', safetensors([500, 1000], 999_999))
  write('ckpts/google/t5-v1_1-xxl/pytorch_model.bin', 'weights')
  const findings = await checkOpenSora({ PATH: process.env.PATH, OPENSORA_HOME: home })
  expect(statesOf(findings, 'python')).toEqual(['ok'])
  expect(statesOf(findings, 'open-sora')).toEqual(['ok'])
  expect(
    findings.filter(({ part }) => part === 'weights').map(({ state, text }) => [state, text.split(':')[0]]),
  ).toEqual([
    ['ok', 'ckpts/Open_Sora_v2.safetensors'],
    ['fail', 'ckpts/hunyuan_vae.safetensors'],
    ['ok', 'ckpts/google/t5-v1_1-xxl'],
    ['fail', 'ckpts/openai/clip-vit-large-patch14 is not there'],
  ])
  expect(findings.find(({ text }) => text.includes('hunyuan_vae.safetensors has'))?.text).toMatch(
    /has 1000\d+ bytes, its header says 1000\d+/,
  )
})

test('own models are checked by their files and by the base model they go into, each by its id and path', async () => {
  write('ckpts/Open_Sora_v2.safetensors', safetensorsOf({ 'block.q.weight': [8, 4] }))
  write('own/tuned.safetensors', safetensorsOf({ 'block.q.weight': [8, 4] }))
  write('own/narrow.safetensors', safetensorsOf({ 'block.q.weight': [8, 3] }))
  write(
    'own/ink.safetensors',
    safetensorsOf({ 'block.q.lora_A.weight': [2, 4], 'block.q.lora_B.weight': [8, 2] }),
  )
  write('own/half.safetensors', safetensorsOf({ 'block.q.lora_A.weight': [2, 4] }))
  write('own/cut.safetensors', safetensors([8, 4], 63))
  const at = (name: string) => join(home, 'own', name)
  const lora = (name: string) => ({ lora: { path: at(name), strength: 0.8 } })
  const findings = await checkOpenSora({ PATH: process.env.PATH, OPENSORA_HOME: home }, [
    { id: 'base' },
    { id: 'tuned', checkpoint: at('tuned.safetensors') },
    { id: 'tuned ink', checkpoint: at('tuned.safetensors'), ...lora('ink.safetensors') },
    { id: 'gone', checkpoint: at('gone.safetensors') },
    { id: 'narrow', checkpoint: at('narrow.safetensors') },
    { id: 'cut', checkpoint: at('cut.safetensors') },
    { id: 'half', ...lora('half.safetensors') },
  ])
  const models = findings.filter(({ part }) => part === 'model')
  expect(models.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok', 'fail', 'fail', 'fail', 'fail'])
  for (const [index, text] of [
    'base: the weights of the base model',
    `tuned: ${at('tuned.safetensors')} (0.0 MB`,
    `tuned ink: ${at('tuned.safetensors')} (0.0 MB, 0.0 million) + ${at('ink.safetensors')}`,
    `model 'gone': checkpoint: there is no file at ${at('gone.safetensors')}`,
    "model 'narrow': checkpoint: ",
    `model 'cut': checkpoint: ${at('cut.safetensors')}: cut.safetensors has`,
    `model 'half': lora: ${at('half.safetensors')}: block.q has only block.q.lora_A.weight`,
  ].entries()) {
    expect(models[index]?.text).toContain(text)
  }
  expect(models[4]?.text).toContain('block.q.weight is [8, 3]; allowed is [8, 4]')
  expect(models[3]?.todo).toContain('SLUICE_CATALOGUE')
  const [relative] = await checkOpenSora({ PATH: process.env.PATH, OPENSORA_HOME: home }, [
    { id: 'a', checkpoint: 'b.safetensors' },
  ]).then((found) => found.filter(({ part }) => part === 'model'))
  expect(relative).toMatchObject({
    state: 'fail',
    text: expect.stringContaining('allowed is an absolute path'),
  })
})

test('every model that is served is looked at, also one that differs from the base model in its precision alone', async () => {
  write('models.json', JSON.stringify({ models: [EIGHT_BITS, { id: 'open-sora-2' }] }))
  const findings = await checkRunner({
    PATH: process.env.PATH,
    OPENSORA_HOME: home,
    SLUICE_RUNNER: 'open-sora',
    SLUICE_CATALOGUE: join(home, 'models.json'),
    SLUICE_MODEL: 'open-sora-2,open-sora-2-int8',
  })
  const models = findings.filter(({ part }) => part === 'model').map(({ text }) => text)
  expect(models).toEqual([
    expect.stringContaining('open-sora-2: the weights of the base model'),
    expect.stringMatching(/open-sora-2-int8.*int8/),
  ])
})

test('a Python that cannot be run is a finding that names its setting', async () => {
  const [finding, ...more] = await checkOpenSora({
    PATH: process.env.PATH,
    OPENSORA_PYTHON: '/nowhere/python',
  })
  expect(more).toEqual([])
  expect(finding).toMatchObject({
    state: 'fail',
    part: 'python',
    todo: expect.stringContaining('OPENSORA_PYTHON'),
  })
})

describe('memory is compared with the published peak for the devices of a slot', () => {
  test.each([
    [80, '0', {}, 'ok'],
    [55, '0', {}, 'note'],
    [48, '0', {}, 'fail'],
    [48, '0', { OPENSORA_OFFLOAD: 'retry' }, 'note'],
    // The transformer alone fills it.
    [24, '0', { OPENSORA_OFFLOAD: 'always' }, 'fail'],
    [24, '0,1', { OPENSORA_OFFLOAD: 'retry' }, 'fail'],
    [48.5, '0,1', {}, 'ok'],
    [45, '0,1,2,3,4,5,6,7', {}, 'ok'],
    [80, '0,1,2', {}, 'note'],
  ] as const)('%d GiB, slots %s, %j: %s', (gib, slots, env, state) => {
    const findings = findingsOf({ torch: torchWith(gib) }, { SLUICE_SLOTS: slots, ...env })
    expect(statesOf(findings, 'vram')).toEqual([state])
  })
})

test('with every model in 8 bits less memory will do', () => {
  const model = { id: 'open-sora-2-int8', files: [], precision: 'int8', problem: null }
  const stateFor = (gib: number, models: Probe['models'], env: NodeJS.ProcessEnv = {}) =>
    statesOf(findingsOf({ torch: torchWith(gib), models }, env), 'vram')
  const retry = { OPENSORA_OFFLOAD: 'retry' }
  expect(stateFor(50, [model])).toEqual(['ok'])
  expect(stateFor(48, [model])).toEqual(['note'])
  expect(stateFor(24, [model], retry)).toEqual(['note'])
  expect(stateFor(16, [model], retry)).toEqual(['fail'])
  expect(stateFor(24, [model, { ...model, precision: null }], retry)).toEqual(['fail'])
})

describe("what torch compiles with, and its allocator's settings, are looked at before a video needs them", () => {
  test.each([
    ['ok', {}, {}, '/usr/bin/gcc'],
    ['fail', { compiler: null }, {}, 'a C compiler'],
    ['fail', { python_headers: false }, {}, 'Python.h'],
    ['note', { compiler: null }, { TORCHDYNAMO_DISABLE: '1' }, 'not needed'],
    ['fail', {}, { TORCHDYNAMO_DISABLE: '1', OPENSORA_COMPILE: 'on' }, 'the load will fail'],
  ] as const)('compiler: %s with %j, %j', (state, changes, env, text) => {
    const [finding] = findingsOf(changes, env).filter(({ part }) => part === 'compiler')
    expect(finding).toMatchObject({ state, text: expect.stringContaining(text) })
  })

  test.each([
    ['ok', {}],
    ['ok', { PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True' }],
    ['note', { PYTORCH_CUDA_ALLOC_CONF: 'max_split_size_mb:512' }],
    ['note', { PYTORCH_ALLOC_CONF: 'max_split_size_mb:512' }],
  ] as const)('allocator: %s with %j', (state, env) => {
    expect(statesOf(findingsOf({}, env), 'allocator')).toEqual([state])
  })

  test('the probe names the compiler that CC names, and none that is not there', async () => {
    const findingsWith = (CC: string) => checkOpenSora({ PATH: process.env.PATH, OPENSORA_HOME: home, CC })
    const textOf = (findings: Finding[]) => findings.find(({ part }) => part === 'compiler')?.text
    expect(textOf(await findingsWith('/nowhere/cc'))).toContain('a C compiler')
    expect(textOf(await findingsWith(process.execPath))).not.toContain('a C compiler')
  })
})

describe('attention is looked at as the runner chooses it', () => {
  test('the kernel that works and was chosen is said, and why one that was named does not', () => {
    const said = 'attention: sdpa-cudnn of flash-attn-3: not installed; sdpa-cudnn 1.20 ms for 8828'
    const chosen = { kernel: 'sdpa-cudnn', said, problem: null }
    const refused = { kernel: null, said: '', problem: 'OPENSORA_ATTENTION is "flash-attn-3", which ...' }
    expect(findingsOf({ attention: chosen })).toContainEqual(
      expect.objectContaining({ state: 'ok', part: 'attention', text: said }),
    )
    expect(findingsOf({ attention: refused })).toContainEqual(
      expect.objectContaining({ state: 'fail', part: 'attention', text: refused.problem }),
    )
    expect(statesOf(findingsOf({ attention: null }), 'attention')).toEqual([])
  })

  test.each([
    ['ok', { 'flash-attn': '2.8.3' }, { SLUICE_SLOTS: '0,1' }],
    ['note', {}, { SLUICE_SLOTS: '0;1' }],
    ['note', {}, { SLUICE_SLOTS: '0,1', OPENSORA_PARALLEL: 'tensor' }],
    ['note', {}, { SLUICE_SLOTS: '0,1', OPENSORA_PARALLEL: 'guidance' }],
    ['fail', {}, { SLUICE_SLOTS: '0,1' }],
  ] as const)('flash-attn: %s with %j, %j', (state, packages, env) => {
    expect(statesOf(findingsOf({ packages }, env), 'flash-attn')).toEqual([state])
  })
})

test('the licence terms are always listed, those of FLUX when it is on', () => {
  const probe: Probe = {
    ...PROBE,
    python: [3, 9, 0],
    compiler: null,
    python_headers: false,
    package_found: false,
    commit: null,
  }
  const licences = (env: NodeJS.ProcessEnv) =>
    checkProbe(probe, env, 'python3').filter(({ part }) => part === 'licence')
  expect(licences({}).map(({ text }) => text)).toEqual([expect.stringContaining('Hunyuan')])
  expect(licences({ OPENSORA_T2I2V: '1' })[1]?.text).toContain('FLUX.1-dev')
  const failed = checkProbe(probe, {}, 'python3').filter(({ state }) => state === 'fail')
  expect(failed.map(({ part }) => part)).toEqual(['python', 'open-sora', 'torch', 'packages', 'compiler'])
})
