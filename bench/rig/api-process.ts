import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../test/support/eventually.ts'
import { freePort } from '../../test/support/free-port.ts'
import { Connection } from './connection.ts'

const API_MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))
const START_MS_MAX = 30_000

export interface ApiProcess {
  /** `http://127.0.0.1:port` */
  url: string
  key: string
  adminKey: string
  workerToken: string
  dataDir: string
  pid: number
  /** Submits a video for the first account, or for the one whose key is given. */
  submit(fields: Record<string, unknown>, key?: string): Promise<unknown>
  /** Resident memory in bytes. */
  residentBytes(): Promise<number>
  stop(): Promise<void>
}

/** Starts the API as a process of its own, as it runs in production. */
export async function startApiProcess(settings: {
  databaseUrl: string
  redisUrl: string | null
  dataDir: string
  env?: Record<string, string>
}): Promise<ApiProcess> {
  const port = await freePort()
  const child: ChildProcess = spawn(process.execPath, [API_MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      SLUICE_DATABASE_URL: settings.databaseUrl,
      SLUICE_DATA_DIR: settings.dataDir,
      SLUICE_LOG: 'warn',
      ...(settings.redisUrl === null ? {} : { REDIS_URL: settings.redisUrl }),
      ...settings.env,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(`the API exited with ${child.exitCode}`)
    return fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    )
  }
  await eventually(answers, Boolean, START_MS_MAX)
  const keys = JSON.parse(readFileSync(join(settings.dataDir, 'keys.json'), 'utf8'))
  const pid = child.pid ?? 0
  const connection = new Connection(url)
  return {
    url,
    pid,
    key: keys.key,
    adminKey: keys.admin_key,
    dataDir: settings.dataDir,
    workerToken: readFileSync(join(settings.dataDir, 'worker-token'), 'utf8').trim(),
    submit: (fields, key = keys.key) => connection.post('/v1/videos', key, fields),
    residentBytes: async () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    stop: async () => {
      connection.close()
      if (child.exitCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}
