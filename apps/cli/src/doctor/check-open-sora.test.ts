import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { checkOpenSora, judgeProbe, OPEN_SORA_COMMIT, type Probe } from './check-open-sora.ts'
import type { Finding } from './finding.ts'

const home = mkdtempSync(join(tmpdir(), 'open-sora-home-'))
afterAll(() => rmSync(home, { recursive: true }))

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(home, path)), { recursive: true })
  writeFileSync(join(home, path), content)
}

/** A safetensors file of `shape` in bf16, with `data` bytes of it there. */
function safetensors(shape: number[], data: number): Buffer {
  const bytes = shape.reduce((product, side) => product * side, 2)
  const header = Buffer.from(JSON.stringify({ weight: { dtype: 'BF16', shape, data_offsets: [0, bytes] } }))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.alloc(data)])
}

const statesOf = (findings: Finding[], part: string) => findings.filter((finding) => finding.part === part).map(({ state }) => state)

test('a real installation is looked at: its commit, and each weight file with its size, a cut off one too', async () => {
  write('opensora/__init__.py', '')
  write('.git/HEAD', 'ref: refs/heads/main\n')
  write('.git/packed-refs', `# pack-refs with: peeled\n${OPEN_SORA_COMMIT} refs/heads/main\n`)
  write('ckpts/Open_Sora_v2.safetensors', safetensors([500, 1000], 1_000_000))
  write('ckpts/hunyuan_vae.safetensors', safetensors([500, 1000], 999_999))
  write('ckpts/google/t5-v1_1-xxl/pytorch_model.bin', 'weights')
  const findings = await checkOpenSora({ PATH: process.env.PATH, OPENSORA_HOME: home })
  expect(statesOf(findings, 'python')).toEqual(['ok'])
  expect(statesOf(findings, 'open-sora')).toEqual(['ok'])
  expect(findings.filter(({ part }) => part === 'weights').map(({ state, said }) => [state, said.split(':')[0]])).toEqual([
    ['ok', 'ckpts/Open_Sora_v2.safetensors'],
    ['fail', 'ckpts/hunyuan_vae.safetensors'],
    ['ok', 'ckpts/google/t5-v1_1-xxl'],
    ['fail', 'ckpts/openai/clip-vit-large-patch14 is not there'],
  ])
  expect(findings.find(({ said }) => said.includes('hunyuan_vae.safetensors has'))?.said).toMatch(
    /has 1000\d+ bytes, its header says 1000\d+/,
  )
})

test('a Python that cannot be run is a finding that names its setting', async () => {
  const [finding, ...more] = await checkOpenSora({ PATH: process.env.PATH, OPENSORA_PYTHON: '/nowhere/python' })
  expect(more).toEqual([])
  expect(finding).toMatchObject({ state: 'fail', part: 'python', todo: expect.stringContaining('OPENSORA_PYTHON') })
})

describe('memory is held against the published peak for the devices of a slot', () => {
  const probe = (gib: number): Probe => ({
    python: [3, 11, 0],
    torch: { version: '2.4.0', cuda: '12.4', devices: [{ name: 'GPU', bytes: gib * 2 ** 30 }] },
    packages: {},
    package_found: true,
    commit: OPEN_SORA_COMMIT,
    weights: [],
  })
  test.each([
    [80, '0', {}, 'ok'],
    [55, '0', {}, 'note'],
    [48, '0', {}, 'fail'],
    [24, '0', { OPENSORA_OFFLOAD: 'retry' }, 'note'],
    [24, '0,1', { OPENSORA_OFFLOAD: 'retry' }, 'fail'],
    [48.5, '0,1', {}, 'ok'],
    [45, '0,1,2,3,4,5,6,7', {}, 'ok'],
    [80, '0,1,2', {}, 'note'],
  ] as const)('%d GiB, slots %s, %j: %s', (gib, slots, env, state) => {
    expect(statesOf(judgeProbe(probe(gib), { SLUICE_SLOTS: slots, OPENSORA_HOME: '/x', ...env }, 'python3'), 'vram')).toEqual([state])
  })
})

test('the terms that bind an operator are always said, those of FLUX when it is on', () => {
  const probe: Probe = { python: [3, 9, 0], torch: null, packages: {}, package_found: false, commit: null, weights: [] }
  const said = (env: NodeJS.ProcessEnv) => judgeProbe(probe, env, 'python3').filter(({ part }) => part === 'licence')
  expect(said({}).map(({ said: words }) => words)).toEqual([expect.stringContaining('Hunyuan')])
  expect(said({ OPENSORA_T2I2V: '1' })[1]?.said).toContain('FLUX.1-dev')
  const failed = judgeProbe(probe, {}, 'python3').filter(({ state }) => state === 'fail')
  expect(failed.map(({ part }) => part)).toEqual(['python', 'open-sora', 'torch', 'packages', 'flash-attn'])
})
