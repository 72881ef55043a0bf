import type { ServedModel } from '@sluice/shared/runner-protocol'
import { optionalSetting } from '@sluice/shared/settings'
import { z } from 'zod'
import { type Finding, fail, note, ok } from './finding.ts'
import { checkPython, probePython } from './python-probe.ts'

/** The last commit of hpcaitech/Open-Sora that changes code (2025-03-27); it has no release. */
export const OPEN_SORA_COMMIT = 'd0cd5ac50da79e9a9d2285a952d4dcd806e6c8fc'
const GIB = 2 ** 30
/**
 * Peak memory in GiB on each of 1, 2, 4 or 8 devices, at 50 steps, from Open-Sora's README; null = not
 * published.
 */
const PEAK_GIB: Readonly<Record<number, readonly [small: number | null, large: number]>> = {
  1: [52.5, 60.3],
  2: [44.3, 48.3],
  4: [44.3, 44.3],
  8: [null, 44.3],
}

/**
 * With offload, on one device: the published peak less what is not loaded then, of 34 GB in bf16 all but the
 * transformer's 23.8 GB.
 */
const OFFLOAD_GIB = [43, 51] as const
/** The transformer's 22.2 GiB, and room for the smallest clip. */
const OFFLOAD_GIB_MIN = 28
/** What a precision of 8 bits leaves of the transformer's memory is so much less. */
const EIGHT_BITS_SAVE_GIB = 11

const weightsSchema = z.object({
  path: z.string(),
  bytes: z.number().nullable(),
  parameters: z.number().nullable(),
  problem: z.string().nullable(),
})
const modelSchema = z.object({
  id: z.string(),
  files: z.array(
    z.object({ path: z.string(), bytes: z.number().nullable(), parameters: z.number().nullable() }),
  ),
  /** What its transformer is kept in; null = its weights as they are. */
  precision: z.string().nullable(),
  problem: z.string().nullable(),
})
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
  packages: z.record(z.string(), z.string().nullable()),
  /** The C compiler that torch.compile would take. */
  compiler: z.string().nullable(),
  python_headers: z.boolean(),
  package_found: z.boolean(),
  commit: z.string().nullable(),
  weights: z.array(weightsSchema),
  /** All that are served. */
  models: z.array(modelSchema),
  /** The kernel that a runner would choose on the first device, and what was tried; null without a device. */
  attention: z
    .object({ kernel: z.string().nullable(), said: z.string(), problem: z.string().nullable() })
    .nullable(),
})
/** What `python -m sluice_open_sora.probe` prints. */
export type Probe = z.infer<typeof probeSchema>

const SETTING = 'OPENSORA_PYTHON'
const PROBE = { runner: 'open-sora', module: 'sluice_open_sora.probe', setting: SETTING, schema: probeSchema }

/**
 * Checks everything that the Open-Sora runner needs on this machine, in the Python that would run it.
 * `models`: those that it would serve, whose files and traits are checked as the runner checks them.
 */
export async function checkOpenSora(
  env: NodeJS.ProcessEnv,
  models: readonly ServedModel[] = [],
): Promise<Finding[]> {
  return probePython(PROBE, models, env, checkProbe)
}

/** What the probe found, in the order in which one would correct it. */
export function checkProbe(probe: Probe, env: NodeJS.ProcessEnv, python: string): Finding[] {
  return [
    checkPython(python, probe.python, SETTING),
    ...checkCheckout(probe, optionalSetting(env, 'OPENSORA_HOME')),
    ...checkTorch(probe, env),
    ...checkPackages(probe, env),
    ...checkAttention(probe),
    checkCompiler(probe, env),
    checkAllocator(env),
    ...probe.weights.map(checkWeights),
    ...probe.models.map(checkModel),
    ...licenceNotes(env),
  ]
}

function checkCheckout(probe: Probe, home: string | undefined): Finding[] {
  if (home === undefined) {
    return [
      fail(
        'open-sora',
        'OPENSORA_HOME is not set',
        'set OPENSORA_HOME to the folder of an Open-Sora checkout',
      ),
    ]
  }
  if (!probe.package_found) {
    return [
      fail(
        'open-sora',
        `OPENSORA_HOME: ${home} does not hold the package opensora`,
        'clone hpcaitech/Open-Sora there',
      ),
    ]
  }
  const todo = `git -C ${home} checkout ${OPEN_SORA_COMMIT.slice(0, 7)}`
  if (probe.commit === null) {
    return [
      note(
        'open-sora',
        `${home}: no git checkout, so its commit is unknown; ${OPEN_SORA_COMMIT.slice(0, 7)} is meant`,
      ),
    ]
  }
  if (probe.commit !== OPEN_SORA_COMMIT) {
    return [
      note(
        'open-sora',
        `${home} is at ${probe.commit.slice(0, 7)}; the runner is made for ${OPEN_SORA_COMMIT.slice(0, 7)}`,
        todo,
      ),
    ]
  }
  return [ok('open-sora', `${home} at ${OPEN_SORA_COMMIT.slice(0, 7)}`)]
}

function checkTorch(probe: Probe, env: NodeJS.ProcessEnv): Finding[] {
  const { torch } = probe
  if (torch === null) {
    return [fail('torch', 'not installed', 'pip install torch==2.4.0 torchvision==0.19.0, as Open-Sora asks')]
  }
  if (torch.error !== undefined) {
    return [
      fail('torch', `${torch.version} does not import: ${torch.error}`, 'install it again for this machine'),
    ]
  }
  const devices = torch.devices ?? []
  if (torch.cuda === null || torch.cuda === undefined) {
    return [
      fail(
        'torch',
        `${torch.version} is built without CUDA`,
        'install torch for CUDA (https://pytorch.org/get-started/locally/)',
      ),
    ]
  }
  if (devices.length === 0) {
    return [
      fail(
        'torch',
        `${torch.version} for CUDA ${torch.cuda} finds no device`,
        'install the NVIDIA driver, and check CUDA_VISIBLE_DEVICES',
      ),
    ]
  }
  const names = devices.map(({ name, bytes }) => `${name} (${(bytes / GIB).toFixed(1)} GiB)`)
  return [
    ok('torch', `${torch.version}, CUDA ${torch.cuda}`),
    ok('gpu', names.join('; ')),
    checkMemory(Math.min(...devices.map(({ bytes }) => bytes)), probe, env),
  ]
}

/**
 * The smallest device against the published peak for as many devices as a slot has; less where every model is
 * kept in 8 bits.
 */
function checkMemory(bytes: number, { models }: Probe, env: NodeJS.ProcessEnv): Finding {
  const count = devicesPerSlot(env)
  const published = PEAK_GIB[count]
  if (published === undefined) {
    return note('vram', `nothing is published for ${count} devices per slot; for 1, 2, 4 and 8 it is`)
  }
  const eightBits = models.length > 0 && models.every(({ precision }) => precision !== null)
  const saved = eightBits ? EIGHT_BITS_SAVE_GIB : 0
  const [small, large] = [published[0] === null ? null : published[0] - saved, published[1] - saved]
  const has = `${(bytes / GIB).toFixed(1)} GiB per device`
  const per = `${count} ${count === 1 ? 'device' : 'devices'} per slot${eightBits ? ' in 8 bits' : ''}`
  if (bytes >= large * GIB) return ok('vram', `${has}; 768px needs ${gib(large)} with ${per}`)
  if (small !== null && bytes >= small * GIB) {
    return note(
      'vram',
      `${has}: 256px fits (${gib(small)} with ${per}), 768px (${gib(large)}) is not known to`,
      'more devices per slot need less on each',
    )
  }
  const peak = `${small === null ? '' : `256px ${gib(small)}, `}768px ${gib(large)}`
  const needs = `${has}; published peak with ${per}: ${peak}`
  const offload = optionalSetting(env, 'OPENSORA_OFFLOAD')
  if (count === 1 && (offload === 'retry' || offload === 'always')) {
    const least = OFFLOAD_GIB_MIN - saved
    if (bytes < least * GIB) {
      const transformer = (22.2 - saved).toFixed(1)
      const why = `even with offload the transformer alone has ${transformer} GiB, beside what a step needs`
      const todo = `use a device of more than ${least} GiB${eightBits ? '' : ', or a model with a precision'}`
      return fail('vram', `${has}; ${why}`, todo)
    }
    const [smallOff, largeOff] = [OFFLOAD_GIB[0] - saved, OFFLOAD_GIB[1] - saved]
    const derived = `256px about ${smallOff} GiB, 768px about ${largeOff} GiB`
    const how = 'worked out from the published peaks, not measured; the runner tries it at load'
    return note('vram', `${needs}; with OPENSORA_OFFLOAD=${offload} ${derived} (${how}), and slower`)
  }
  const todo =
    'use more devices per slot in SLUICE_SLOTS, or one with OPENSORA_OFFLOAD=retry or a model with a precision'
  return fail('vram', needs, todo)
}

function gib(size: number): string {
  return `${Number(size.toFixed(1))} GiB`
}

function checkPackages(probe: Probe, env: NodeJS.ProcessEnv): Finding[] {
  const { packages } = probe
  // colossalai is imported by the text encoders and the loader, whatever the number of devices.
  const needed = [
    'torchvision',
    'mmengine',
    'diffusers',
    'transformers',
    'peft',
    'colossalai',
    'liger-kernel',
    'av',
    'pillow',
  ]
  const missing = needed.filter((name) => packages[name] === null || packages[name] === undefined)
  return [
    missing.length === 0
      ? ok('packages', needed.map((name) => `${name} ${packages[name]}`).join(', '))
      : fail(
          'packages',
          `not installed: ${missing.join(', ')}`,
          'pip install -r requirements.txt in OPENSORA_HOME',
        ),
    checkFlashAttention(packages['flash-attn'] ?? null, env),
  ]
}

/** To split a sequence over several devices, Open-Sora needs its own functions; all else does without it. */
function checkFlashAttention(version: string | null, env: NodeJS.ProcessEnv): Finding {
  if (version !== null) return ok('flash-attn', version)
  const install = 'pip install flash-attn --no-build-isolation'
  const isSplit =
    devicesPerSlot(env) > 1 && (optionalSetting(env, 'OPENSORA_PARALLEL') ?? 'sequence') === 'sequence'
  return isSplit
    ? fail('flash-attn', "not installed; Open-Sora's sequence parallelism is built on it", install)
    : note('flash-attn', "not installed: torch's own kernels do the attention", install)
}

/** What a runner would choose, by trying each kernel as the runner does. */
function checkAttention({ attention }: Probe): Finding[] {
  if (attention === null) return []
  return attention.problem === null
    ? [ok('attention', attention.said)]
    : [
        fail(
          'attention',
          attention.problem,
          'unset OPENSORA_ATTENTION, or set it to a kernel that works; stop what else uses the device',
        ),
      ]
}

/**
 * Open-Sora compiles a function at the first step of the first video (timestep_embedding), for which triton
 * needs a C compiler and Python's headers. Without them every video fails there.
 */
function checkCompiler({ compiler, python_headers }: Probe, env: NodeJS.ProcessEnv): Finding {
  if (optionalSetting(env, 'TORCHDYNAMO_DISABLE') === '1') {
    return optionalSetting(env, 'OPENSORA_COMPILE') === 'on'
      ? fail(
          'compiler',
          'OPENSORA_COMPILE=on, and TORCHDYNAMO_DISABLE=1 keeps torch from compiling: the load will fail',
          'unset one of the two',
        )
      : note('compiler', 'not needed: TORCHDYNAMO_DISABLE=1 keeps torch from compiling')
  }
  const missing = [
    ...(compiler === null ? ['a C compiler'] : []),
    ...(python_headers ? [] : ["Python's headers (Python.h)"]),
  ]
  if (compiler !== null && python_headers) return ok('compiler', `${compiler}, with Python's headers`)
  return fail(
    'compiler',
    `not installed: ${missing.join(' and ')}; torch compiles a function at the first step, so every video would fail`,
    'apt install gcc python3-dev for that Python, or set CC; or TORCHDYNAMO_DISABLE=1, which is slower',
  )
}

/** How torch's allocator is set: by the operator, or as the runner does it. */
function checkAllocator(env: NodeJS.ProcessEnv): Finding {
  for (const name of ['PYTORCH_CUDA_ALLOC_CONF', 'PYTORCH_ALLOC_CONF']) {
    const own = optionalSetting(env, name)
    if (own === undefined) continue
    if (own.includes('expandable_segments:True')) return ok('allocator', `${name}=${own}`)
    const todo = `add expandable_segments:True to ${name}, or leave it unset`
    return note('allocator', `${name}=${own}: clips of many sizes leave holes in the memory`, todo)
  }
  return ok('allocator', 'expandable_segments:True, which the runner sets')
}

function checkWeights({ path, bytes, parameters, problem }: z.infer<typeof weightsSchema>): Finding {
  const todo = 'huggingface-cli download hpcai-tech/Open-Sora-v2 --local-dir ./ckpts in OPENSORA_HOME'
  if (bytes === null) return fail('weights', `${path} is not there`, todo)
  if (problem !== null) return fail('weights', `${path}: ${problem}`, todo)
  const counted = parameters === null ? '' : `, ${(parameters / 1e9).toFixed(2)} billion parameters`
  return ok('weights', `${path}: ${(bytes / 1e9).toFixed(1)} GB${counted}`)
}

function checkModel({ id, files, precision, problem }: z.infer<typeof modelSchema>): Finding {
  if (problem !== null) {
    return fail(
      'model',
      problem,
      `put the file of ${id} there, or correct its weights in the file that SLUICE_CATALOGUE names`,
    )
  }
  const sizes = files.map(
    ({ path, bytes, parameters }) =>
      `${path} (${sizeOf(bytes ?? 0)}, ${((parameters ?? 0) / 1e6).toFixed(1)} million)`,
  )
  const weights = sizes.length === 0 ? 'the weights of the base model' : sizes.join(' + ')
  return ok('model', `${id}: ${weights}${precision === null ? '' : `, kept in ${precision}`}`)
}

function sizeOf(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`
}

function licenceNotes(env: NodeJS.ProcessEnv): Finding[] {
  return [
    note('licence', 'hunyuan_vae (Tencent Hunyuan): not for use in the EU, the UK or South Korea'),
    ...(optionalSetting(env, 'OPENSORA_T2I2V') === '1'
      ? [
          note(
            'licence',
            'OPENSORA_T2I2V=1 loads FLUX.1-dev, which is non-commercial: ' +
              'do not charge for mode t2i2v without a licence',
          ),
        ]
      : []),
  ]
}

function devicesPerSlot(env: NodeJS.ProcessEnv): number {
  const slots = (optionalSetting(env, 'SLUICE_SLOTS') ?? '0')
    .split(';')
    .map((devices) => devices.split(',').length)
  return Math.max(...slots)
}
