import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WAN_2_1_1_3B } from '@sluice/shared/models/built-in/wan'
import { makesOf } from '@sluice/shared/models/makes'
import { afterAll, expect, test } from 'vitest'
import { checkDiffusers, checkDiffusersProbe, type DiffusersProbe } from './check-diffusers.ts'

const runners = fileURLToPath(new URL('../../../../runners', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sluice-doctor-diffusers-'))
afterAll(() => rmSync(folder, { recursive: true }))

const PROBE: DiffusersProbe = {
  python: [3, 11, 7],
  torch: { version: '2.13.0', cuda: '13.0', devices: [{ name: 'H100', bytes: 80 * 2 ** 30 }] },
  pinned: '0.42.1',
  packages: { diffusers: '0.42.1', transformers: '5.24.0' },
  settings: null,
  models: [{ id: 'wan-2.2-5b', folder: '/models/wan', bytes: 20 * 2 ** 30, problems: [] }],
}
const stateOf = (probe: Partial<DiffusersProbe>, env: NodeJS.ProcessEnv = {}) =>
  Object.fromEntries(
    checkDiffusersProbe({ ...PROBE, ...probe }, env, 'python3').map((one) => [one.part, one.state]),
  )

test('a real folder is checked by its files, and each that is missing is named', async () => {
  const write = `from pathlib import Path; from tests.plain_folders import *
for name in ("whole", "cut"): write_folder(Path(${JSON.stringify(folder)}) / name)`
  const env = { PATH: process.env.PATH, PYTHONPATH: join(runners, 'python') }
  execFileSync('python3', ['-B', '-c', write], { cwd: join(runners, 'diffusers'), env })
  rmSync(join(folder, 'cut/transformer/diffusion_pytorch_model-2.safetensors'))
  rmSync(join(folder, 'cut/text_encoder'), { recursive: true })
  const models = ['whole', 'cut', 'gone'].map((id) => ({
    id,
    folder: join(folder, id),
    pipelines: { t2v: 'WanPipeline' },
    makes: { ...makesOf(WAN_2_1_1_3B), modes: ['t2v' as const] },
  }))
  const findings = await checkDiffusers({ PATH: process.env.PATH }, models)
  const said = findings.filter(({ part }) => part === 'model').map(({ state, text }) => `${state} ${text}`)
  expect(said[0]).toContain('ok whole')
  expect(said.slice(1).join('; ')).toMatch(
    /fail .*cut.*diffusion_pytorch_model-2.safetensors is missing.*fail .*lacks the component text_encoder.*fail .*gone/,
  )
})

test('what a host lacks is said with what to do, and another version of the library is a note', () => {
  expect(new Set(Object.values(stateOf({})))).toEqual(new Set(['ok']))
  expect(stateOf({ packages: { diffusers: null } })).toMatchObject({ packages: 'fail' })
  expect(stateOf({ packages: { diffusers: '0.41.0' } })).toMatchObject({ diffusers: 'note' })
  expect(stateOf({ torch: null })).toMatchObject({ torch: 'fail' })
  expect(stateOf({ torch: { version: '2.13.0', cuda: null, devices: [] } })).toMatchObject({ torch: 'fail' })
  expect(stateOf({ settings: 'SLUICE_DIFFUSERS_OFFLOAD is "x"' })).toMatchObject({ settings: 'fail' })
  const large = [{ id: 'a', folder: '/a', bytes: 90 * 2 ** 30, problems: [] }]
  expect(stateOf({ models: large })).toMatchObject({ vram: 'note' })
})

test('a Python that is not there is named with its setting', async () => {
  const [finding] = await checkDiffusers({ SLUICE_DIFFUSERS_PYTHON: '/nowhere/python' })
  expect(finding).toMatchObject({ part: 'python', state: 'fail' })
  expect(finding?.todo).toContain('SLUICE_DIFFUSERS_PYTHON')
})
