import { homedir } from 'node:os'
import { delimiter, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COST_PER_HOUR_MICROS_BELOW, POOL_PATTERN } from '@sluice/shared/attempt-contract'
import { readCatalogue } from '@sluice/shared/catalogue-file'
import { readEngineSettings } from '@sluice/shared/engine-settings'
import { parseMicros } from '@sluice/shared/money'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import type { ServedModel } from '@sluice/shared/runner-protocol'
import { animaticModels, readServedModels } from '@sluice/shared/served-models'
import {
  baseUrlSetting,
  choiceSetting,
  databaseUrlSetting,
  type Environment,
  folderSetting,
  integerSetting,
  optionalSetting,
  readSettings,
  redisUrlSetting,
  SECRET_CHARS_MIN,
  SettingError,
  SettingErrors,
  secretSetting,
} from '@sluice/shared/settings'
import { splitCommand } from './command-words.ts'

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
const SLOTS_MAX = 64

export interface WorkerConfig {
  apiUrl: string
  token: string
  queue: QueueSettings
  /** The setting that says where the queue is. */
  queueSetting: 'REDIS_URL' | 'SLUICE_QUEUE_URL'
  runner: RunnerCommand
  /** What every runner serves, and where the weights are; the first is loaded at its start. */
  models: readonly [ServedModel, ...ServedModel[]]
  /** Null = named after the runner's device and devices (`h100x1`) once a runner is ready. */
  pool: string | null
  /** One runner per entry; each is the list of devices it may see. */
  slots: readonly string[]
  costPerHourMicros: string | null
  /** Absolute; the worker's own folder lies in it. */
  dataDir: string
  stallMs: number
  graceMs: number
  logLevel: string
}

export interface RunnerCommand {
  command: readonly [string, ...string[]]
  /** All a runner sees of our environment: never tokens or queue URLs. */
  environment: Readonly<Record<string, string>>
  /** The variable that names the devices of a slot. */
  deviceVariable: string
}

const RUNNERS = ['animatic', 'open-sora', 'diffusers', 'engine'] as const
type RunnerKind = (typeof RUNNERS)[number]
/** Their pools are named after them: they have no device whose name says what a slot can do. */
const WITHOUT_DEVICE: readonly string[] = ['animatic', 'engine']
/** CC: torch.compile's C compiler. */
const PASSED_NAMES = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'CC']
const PASSED_PREFIXES = [
  'SLUICE_ANIMATIC_',
  'SLUICE_DIFFUSERS_',
  'OPENSORA_',
  'CUDA_',
  'NCCL_',
  'PYTORCH_',
  'TORCHINDUCTOR_',
  'TORCHDYNAMO_',
  'TRITON_',
  'HF_',
  'ASCEND_',
]

/** Reads and checks the worker's settings. Throws SettingErrors that names every setting at fault. */
export function readWorkerConfig(env: Environment): WorkerConfig {
  const values = readSettings({
    apiUrl: () => readApiUrl(env),
    token: () => readToken(env),
    slots: () => readSlots(env),
    queueUrl: () => readQueueUrl(env),
    models: () => readModels(env),
    kind: () => choiceSetting(env, 'SLUICE_RUNNER', 'animatic', RUNNERS),
    custom: () => readCustomCommand(env),
    engine: () => judgeEngineSettings(env),
    pool: () => readPool(env),
    costPerHourMicros: () => readCost(env),
    stallMs: () => integerSetting(env, 'SLUICE_RUNNER_STALL_MS', 120_000, { min: 100, max: 86_400_000 }),
    graceMs: () => integerSetting(env, 'SLUICE_GRACE_MS', 10_000, { min: 0, max: 86_400_000 }),
    deviceVariable: () => readDeviceVariable(env),
    dataDir: () => folderSetting(env, 'SLUICE_DATA_DIR', '.sluice'),
    logLevel: () => choiceSetting(env, 'SLUICE_LOG', 'info', ['debug', 'info', 'warn', 'error', 'silent']),
  })
  const { kind, custom } = values
  return {
    apiUrl: values.apiUrl,
    token: values.token,
    queue: queueSettings(values.queueUrl, values.slots.length),
    queueSetting: optionalSetting(env, 'REDIS_URL') === undefined ? 'SLUICE_QUEUE_URL' : 'REDIS_URL',
    runner: {
      command: custom ?? builtInCommand(kind, env),
      environment: {
        ...(custom === null && kind === 'animatic' ? { SLUICE_ANIMATIC_MODELS: values.models.animatic } : {}),
        ...passedEnvironment(env, custom !== null || kind === 'engine'),
        // A runner that starts a process per device reads the list by this name.
        SLUICE_DEVICE_VARIABLE: values.deviceVariable,
        ...(custom === null ? pythonPath(kind) : {}),
      },
      deviceVariable: values.deviceVariable,
    },
    models: values.models.served,
    pool: values.pool ?? (custom === null && WITHOUT_DEVICE.includes(kind) ? kind : null),
    slots: values.slots,
    costPerHourMicros: values.costPerHourMicros,
    dataDir: values.dataDir,
    stallMs: values.stallMs,
    graceMs: values.graceMs,
    logLevel: values.logLevel,
  }
}

/** What is served; and, for the animatic runner, the models that it makes. */
function readModels(env: Environment): { served: WorkerConfig['models']; animatic: string } {
  const catalogue = readCatalogue(env)
  return { served: readServedModels(env, catalogue), animatic: animaticModels(env, catalogue).join(',') }
}

function readApiUrl(env: Environment): string {
  const url = baseUrlSetting(env, 'SLUICE_API_URL')
  if (url === undefined)
    throw new SettingError('SLUICE_API_URL', undefined, 'the URL of the API, such as http://127.0.0.1:3000')
  return url
}

function readToken(env: Environment): string {
  const token = secretSetting(env, 'SLUICE_WORKER_TOKEN', { charsMin: SECRET_CHARS_MIN })
  if (token === undefined)
    throw new SettingError('SLUICE_WORKER_TOKEN', undefined, 'a worker token made by the API')
  return token
}

function readQueueUrl(env: Environment): string {
  const url =
    redisUrlSetting(env, 'REDIS_URL') ??
    (/^rediss?:/.test(optionalSetting(env, 'SLUICE_QUEUE_URL') ?? '')
      ? redisUrlSetting(env, 'SLUICE_QUEUE_URL')
      : databaseUrlSetting(env, 'SLUICE_QUEUE_URL'))
  if (url === undefined) {
    throw new SettingErrors([
      new SettingError(
        'REDIS_URL or SLUICE_QUEUE_URL',
        undefined,
        'where attempts are delivered: redis://host, or postgres:// with the role sluice_worker',
      ),
    ])
  }
  return url
}

function queueSettings(url: string, slots: number): QueueSettings {
  return url.startsWith('redis')
    ? { backend: 'redis', url }
    : { backend: 'postgres', url, connectionsMax: slots + 2 }
}

function readSlots(env: Environment): readonly string[] {
  const text = optionalSetting(env, 'SLUICE_SLOTS') ?? '0'
  const slots = text.split(';').map((devices) => devices.trim())
  if (slots.length > SLOTS_MAX || slots.some((devices) => !/^[\w.:/-]+(\s*,\s*[\w.:/-]+)*$/.test(devices))) {
    throw new SettingError(
      'SLUICE_SLOTS',
      text,
      `allowed are up to ${SLOTS_MAX} device lists separated by ";", such as "0;1" or "0,1,2,3"`,
    )
  }
  return slots.map((devices) => devices.replaceAll(/\s+/g, ''))
}

function readCustomCommand(env: Environment): readonly [string, ...string[]] | null {
  const text = optionalSetting(env, 'SLUICE_RUNNER_COMMAND')
  return text === undefined ? null : splitCommand('SLUICE_RUNNER_COMMAND', text)
}

function builtInCommand(kind: RunnerKind, env: Environment): readonly [string, ...string[]] {
  if (kind === 'open-sora')
    return [optionalSetting(env, 'OPENSORA_PYTHON') ?? 'python3', '-m', 'sluice_open_sora']
  if (kind === 'diffusers')
    return [optionalSetting(env, 'SLUICE_DIFFUSERS_PYTHON') ?? 'python3', '-m', 'sluice_diffusers']
  return [process.execPath, resolve(REPOSITORY, `runners/${kind}/src/main.ts`)]
}

/** The engine runner reads them itself: here only a start with wrong ones is refused. */
function judgeEngineSettings(env: Environment): void {
  const isCustom = optionalSetting(env, 'SLUICE_RUNNER_COMMAND') !== undefined
  if (!isCustom && optionalSetting(env, 'SLUICE_RUNNER') === 'engine') readEngineSettings(env)
}

/** Where a Python runner's package lies, and what the Python runners share. */
function pythonPath(kind: RunnerKind): Record<string, string> {
  if (kind !== 'open-sora' && kind !== 'diffusers') return {}
  const folders = [kind, 'python'].map((folder) => resolve(REPOSITORY, 'runners', folder))
  return { PYTHONPATH: folders.join(delimiter) }
}

function readPool(env: Environment): string | null {
  const pool = optionalSetting(env, 'SLUICE_POOL')
  if (pool !== undefined && !POOL_PATTERN.test(pool)) {
    throw new SettingError(
      'SLUICE_POOL',
      pool,
      'allowed are 1 to 63 lower-case letters, digits, "_" and "-", the first a letter or digit',
    )
  }
  return pool ?? null
}

function readCost(env: Environment): string | null {
  const text = optionalSetting(env, 'SLUICE_COST_PER_HOUR')
  if (text === undefined) return null
  const micros = parseMicros(text)
  if (micros === null || micros >= COST_PER_HOUR_MICROS_BELOW)
    throw new SettingError(
      'SLUICE_COST_PER_HOUR',
      text,
      'allowed is a decimal below 1000000000 with at most six places, such as 1.99',
    )
  return micros.toString()
}

function readDeviceVariable(env: Environment): string {
  const name = optionalSetting(env, 'SLUICE_DEVICE_VARIABLE') ?? 'CUDA_VISIBLE_DEVICES'
  if (!/^[A-Za-z_]\w*$/.test(name))
    throw new SettingError('SLUICE_DEVICE_VARIABLE', name, 'allowed is the name of an environment variable')
  return name
}

/** `withEngine`: the key of an engine is for the runner that drives it, and no other. */
function passedEnvironment(env: Environment, withEngine: boolean): Record<string, string> {
  const prefixes = withEngine ? [...PASSED_PREFIXES, 'SLUICE_ENGINE_'] : PASSED_PREFIXES
  const passed: Record<string, string> = { HOME: homedir() }
  for (const [name, value] of Object.entries(env)) {
    if (
      value !== undefined &&
      (PASSED_NAMES.includes(name) || prefixes.some((prefix) => name.startsWith(prefix)))
    )
      passed[name] = value
  }
  return passed
}
