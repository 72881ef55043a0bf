import { dirname } from 'node:path'
import type { UpSettings } from './settings.ts'

/** What any program on this machine may need: where programs, home, temporary files and trusted certificates are. */
const BASE =
  /^(PATH|HOME|USER|LANG|LC_ALL|TZ|TMPDIR|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR|HTTPS?_PROXY|NO_PROXY|https?_proxy|no_proxy)$/
const API = /^(SLUICE_\w+|REDIS_URL|AWS_\w+)$/
/** What a GPU runner needs to find its device, its libraries and its weights. */
const WORKER =
  /^(SLUICE_\w+|REDIS_URL|OPENSORA_\w+|LD_LIBRARY_PATH|CUDA_\w+|NVIDIA_\w+|ASCEND_\w+|HF_\w+|TORCH_\w+|PYTORCH_\w+|NCCL_\w+)$/
/** A GPU host holds no credentials of the database, the ledger or the store. */
const NOT_FOR_WORKERS =
  /^SLUICE_(DATABASE_URL|S3_\w+|MODERATION_\w+|REFINER_\w+|API_KEY|ADMIN_\w+|\w*SECRET\w*)$/

type Environment = Record<string, string>

/** The API's environment, built from ours: nothing else is passed on. */
export function apiEnvironment(
  ours: NodeJS.ProcessEnv,
  settings: UpSettings,
  databaseUrl: string,
): Environment {
  return {
    ...pick(ours, (name) => BASE.test(name) || API.test(name)),
    PORT: String(settings.port),
    HOST: settings.host,
    SLUICE_DATA_DIR: settings.dataDir,
    SLUICE_DATABASE_URL: databaseUrl,
    PATH: searchPath(ours),
  }
}

/** The worker's environment. `queueUrl` is null when REDIS_URL or SLUICE_QUEUE_URL of ours says where the queue is. */
export function workerEnvironment(
  ours: NodeJS.ProcessEnv,
  settings: UpSettings,
  token: string,
  queueUrl: string | null,
): Environment {
  return {
    ...pick(ours, (name) => BASE.test(name) || (WORKER.test(name) && !NOT_FOR_WORKERS.test(name))),
    ...(queueUrl === null ? {} : { SLUICE_QUEUE_URL: queueUrl }),
    SLUICE_DATA_DIR: settings.dataDir,
    SLUICE_API_URL: settings.apiUrl,
    SLUICE_WORKER_TOKEN: token,
    PATH: searchPath(ours),
  }
}

function pick(ours: NodeJS.ProcessEnv, wanted: (name: string) => boolean): Environment {
  return Object.fromEntries(
    Object.entries(ours).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && wanted(entry[0]),
    ),
  )
}

/** Runners started by name get the Node we run on, not an older one of the machine. */
function searchPath(ours: NodeJS.ProcessEnv): string {
  return `${dirname(process.execPath)}:${ours.PATH ?? '/usr/local/bin:/usr/bin:/bin'}`
}
