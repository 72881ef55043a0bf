import { dirname } from 'node:path'
import type { Environment } from '@sluice/shared/settings'
import type { UpSettings } from './settings.ts'

/** What any program may need: where programs, home, temporary files and trusted certificates are. */
const BASE = anyOf([
  'PATH|HOME|USER|LANG|LC_ALL|TZ|TMPDIR',
  'NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR',
  'HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy',
])
const API = /^(SLUICE_\w+|REDIS_URL|AWS_\w+)$/
/** Including what a GPU runner needs to find its device, its libraries and its weights. */
const WORKER = anyOf([
  'SLUICE_\\w+|REDIS_URL',
  'OPENSORA_\\w+|LD_LIBRARY_PATH',
  'CUDA_\\w+|NVIDIA_\\w+|ASCEND_\\w+',
  'HF_\\w+|TORCH_\\w+|TORCHINDUCTOR_\\w+|TORCHDYNAMO_\\w+|TRITON_\\w+|PYTORCH_\\w+|NCCL_\\w+|CC',
])
/** A worker gets no credentials of the database, the store, or the operator's own services. */
const NOT_FOR_WORKERS =
  /^SLUICE_(DATABASE_URL|S3_\w+|MODERATION_\w+|REFINER_\w+|API_KEY|ADMIN_\w+|\w*SECRET\w*)$/

type ChildEnvironment = Record<string, string>

/** The API's environment: what it needs of ours, and nothing else. */
export function apiEnvironment(
  ours: Environment,
  settings: UpSettings,
  databaseUrl: string,
): ChildEnvironment {
  return {
    ...pick(ours, (name) => BASE.test(name) || API.test(name)),
    PORT: String(settings.port),
    HOST: settings.host,
    SLUICE_DATA_DIR: settings.dataDir,
    SLUICE_DATABASE_URL: databaseUrl,
    PATH: searchPath(ours),
  }
}

/**
 * The worker's environment. `queueUrl` is null when our REDIS_URL or SLUICE_QUEUE_URL says where the queue
 * is.
 */
export function workerEnvironment(
  ours: Environment,
  settings: UpSettings,
  token: string,
  queueUrl: string | null,
): ChildEnvironment {
  return {
    ...pick(ours, (name) => BASE.test(name) || (WORKER.test(name) && !NOT_FOR_WORKERS.test(name))),
    ...(queueUrl === null ? {} : { SLUICE_QUEUE_URL: queueUrl }),
    SLUICE_DATA_DIR: settings.dataDir,
    SLUICE_API_URL: settings.apiUrl,
    SLUICE_WORKER_TOKEN: token,
    PATH: searchPath(ours),
  }
}

function pick(ours: Environment, isWanted: (name: string) => boolean): ChildEnvironment {
  return Object.fromEntries(
    Object.entries(ours).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && isWanted(entry[0]),
    ),
  )
}

/** A runner that is started by name gets the Node we run on, not an older one of the machine. */
function searchPath(ours: Environment): string {
  return `${dirname(process.execPath)}:${ours.PATH ?? '/usr/local/bin:/usr/bin:/bin'}`
}

function anyOf(patterns: readonly string[]): RegExp {
  return new RegExp(`^(${patterns.join('|')})$`)
}
