import type { ServedModel } from '@sluice/shared/runner-protocol'
import { optionalSetting } from '@sluice/shared/settings'
import { z } from 'zod'
import { type Finding, fail, note, ok } from './finding.ts'
import { checkPython, probePython } from './python-probe.ts'

const GIB = 2 ** 30

const probeSchema = z.object({
  python: z.tuple([z.number(), z.number(), z.number()]),
  torch: z
    .object({
      version: z.string().nullable(),
      error: z.string().optional(),
      cuda: z.string().nullable().optional(),
      devices: z.array(z.object({ name: z.string(), bytes: z.number() })).optional(),
    })
    .nullable(),
  pinned: z.string(),
  packages: z.record(z.string(), z.string().nullable()),
  settings: z.string().nullable(),
  models: z.array(
    z.object({
      id: z.string(),
      folder: z.string().nullable(),
      bytes: z.number(),
      problems: z.array(z.string()),
    }),
  ),
})
/** What `python -m sluice_diffusers.probe` prints. */
export type DiffusersProbe = z.infer<typeof probeSchema>

const SETTING = 'SLUICE_DIFFUSERS_PYTHON'
const PROBE = { runner: 'diffusers', module: 'sluice_diffusers.probe', setting: SETTING, schema: probeSchema }

/** Checks everything that the diffusers runner needs on this machine, in the Python that would run it. */
export async function checkDiffusers(
  env: NodeJS.ProcessEnv,
  models: readonly ServedModel[] = [],
): Promise<Finding[]> {
  return probePython(PROBE, models, env, checkDiffusersProbe)
}

/** What the probe found, in the order in which one would correct it. */
export function checkDiffusersProbe(
  probe: DiffusersProbe,
  env: NodeJS.ProcessEnv,
  python: string,
): Finding[] {
  return [
    checkPython(python, probe.python, SETTING),
    ...(probe.settings === null ? [] : [fail('settings', probe.settings, 'correct it')]),
    ...checkLibrary(probe, python),
    ...checkTorch(probe, env, python),
    ...probe.models.flatMap((model) => checkModel(model, env)),
    ...checkMemory(probe, env),
  ]
}

function installWith(python: string): string {
  return `${python} -m pip install -r runners/diffusers/requirements.txt`
}

function checkLibrary({ packages, pinned }: DiffusersProbe, python: string): Finding[] {
  const missing = Object.entries(packages).filter(([, version]) => version === null)
  const found = packages.diffusers ?? null
  return [
    ...(missing.length === 0
      ? []
      : [
          fail('packages', `not installed: ${missing.map(([name]) => name).join(', ')}`, installWith(python)),
        ]),
    ...(found === null
      ? []
      : [
          found === pinned
            ? ok('diffusers', found)
            : note(
                'diffusers',
                `${found}; this runner is tested with ${pinned}`,
                'another version may lack a pipeline, or make other clips of the same seed',
              ),
        ]),
  ]
}

function checkTorch({ torch }: DiffusersProbe, env: NodeJS.ProcessEnv, python: string): Finding[] {
  if (torch === null) return [fail('torch', 'not installed', installWith(python))]
  if (torch.error !== undefined)
    return [
      fail('torch', `${torch.version} does not import: ${torch.error}`, 'install it again for this machine'),
    ]
  if (optionalSetting(env, 'SLUICE_DIFFUSERS_DEVICE') === 'cpu')
    return [note('torch', `${torch.version} on the CPU (SLUICE_DIFFUSERS_DEVICE): for tests`)]
  const devices = torch.devices ?? []
  if (devices.length === 0)
    return [
      fail(
        'torch',
        `${torch.version} finds no CUDA device`,
        'install torch for CUDA and the NVIDIA driver, and check CUDA_VISIBLE_DEVICES',
      ),
    ]
  const names = devices.map(({ name, bytes }) => `${name} (${gib(bytes)})`)
  return [ok('torch', `${torch.version}, CUDA ${torch.cuda}`), ok('gpu', names.join('; '))]
}

function checkModel(
  { id, folder, bytes, problems }: DiffusersProbe['models'][number],
  env: NodeJS.ProcessEnv,
): Finding[] {
  if (problems.length === 0) return [ok('model', `${id}: ${folder}, ${gib(bytes)} of weights`)]
  const hint =
    optionalSetting(env, 'SLUICE_CATALOGUE') === undefined
      ? 'set SLUICE_CATALOGUE to a file that names the model and its weights.folder, see docs/models.md'
      : 'correct the catalogue or the folder'
  return problems.map((problem) => fail('model', problem.includes(id) ? problem : `${id}: ${problem}`, hint))
}

/** Files say how large weights are, not what a clip takes beside them: memory is noted, never failed. */
function checkMemory({ torch, models }: DiffusersProbe, env: NodeJS.ProcessEnv): Finding[] {
  const bytes = (torch?.devices ?? []).map((device) => device.bytes)
  const [largest] = models.filter((model) => model.bytes > 0).sort((a, b) => b.bytes - a.bytes)
  if (bytes.length === 0 || largest === undefined) return []
  const smallest = Math.min(...bytes)
  const weights = `${largest.id} has ${gib(largest.bytes)} of weights on disk`
  const said = `${gib(smallest)} per device; ${weights}`
  if (largest.bytes < smallest * 0.8) return [ok('vram', said)]
  const offload = optionalSetting(env, 'SLUICE_DIFFUSERS_OFFLOAD') ?? 'none'
  const quantization = optionalSetting(env, 'SLUICE_DIFFUSERS_QUANTIZATION') ?? 'none'
  if (offload !== 'none' || quantization !== 'none')
    return [note('vram', `${said}; offload ${offload}, quantization ${quantization}`)]
  return [
    note(
      'vram',
      `${said}: they may not fit`,
      'SLUICE_DIFFUSERS_OFFLOAD=model or SLUICE_DIFFUSERS_QUANTIZATION',
    ),
  ]
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`
}
