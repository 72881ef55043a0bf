import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../test/support/eventually.ts'
import { freePort } from '../../test/support/free-port.ts'
import { Connection } from './connection.ts'
import { asMs } from './statistics.ts'
import { type Told, TRACE_ARGUMENTS, WATCH_ARGUMENTS, WatchedChild } from './watched-child.ts'

const API_MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))
/** Long: the machine may be busy, and what it has started for may have taken an hour to make. */
const START_MS_MAX = 180_000

export interface ApiProcess {
  /** `http://127.0.0.1:port` */
  url: string
  key: string
  adminKey: string
  workerToken: string
  dataDir: string
  pid: number
  /** Rejects when the process ends by itself. */
  exited: Promise<never>
  /** Submits a video for the first account, or for the one whose key is given. */
  submit(fields: Record<string, unknown>, key?: string): Promise<unknown>
  /** Resident memory in bytes. */
  residentBytes(): Promise<number>
  /** How late its event loop was since the last call, and the CPU seconds it has used; see WatchedChild. */
  watched: WatchedChild
  /** Prints how late its event loop was, of what was not asked for before, and its CPU seconds. */
  stop(): Promise<void>
}

interface ApiProcessSettings {
  databaseUrl: string
  redisUrl: string | null
  dataDir: string
  env?: Record<string, string>
  /** The door of a cgroup that it goes through first. */
  cage?: string
  /** It can be told to note what it does. */
  isTraced?: boolean
}

/** Starts the API as a process of its own, as it runs in production. */
export async function startApiProcess(settings: ApiProcessSettings): Promise<ApiProcess> {
  const port = await freePort()
  const child: ChildProcess = spawn(...commandOf(settings), {
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      SLUICE_DATABASE_URL: settings.databaseUrl,
      SLUICE_DATA_DIR: settings.dataDir,
      SLUICE_LOG: 'warn',
      ...(settings.redisUrl === null ? {} : { REDIS_URL: settings.redisUrl }),
      ...settings.env,
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  let isStopping = false
  const exited = new Promise<never>((_resolve, reject) => {
    child.once('exit', (code, signal) => {
      if (!isStopping) reject(new Error(`the API ended with ${code ?? signal}`))
    })
  })
  // Of interest only to who asks.
  exited.catch(() => {})
  const url = `http://127.0.0.1:${port}`
  const answers = async () => {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the API ended with ${child.exitCode ?? child.signalCode}`)
    return fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    )
  }
  await eventually(answers, Boolean, START_MS_MAX)
  const keys = JSON.parse(readFileSync(join(settings.dataDir, 'keys.json'), 'utf8'))
  const pid = child.pid ?? 0
  const connection = new Connection(url)
  const watched = new WatchedChild(child)
  // What a start does (compiling, migrating) is no part of what is measured.
  await watched.ask()
  return {
    url,
    pid,
    exited,
    key: keys.key,
    adminKey: keys.admin_key,
    dataDir: settings.dataDir,
    workerToken: readFileSync(join(settings.dataDir, 'worker-token'), 'utf8').trim(),
    submit: (fields, key = keys.key) => connection.post('/v1/videos', key, fields),
    watched,
    residentBytes: async () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024,
    stop: async () => {
      connection.close()
      if (child.exitCode !== null || child.signalCode !== null) return
      isStopping = true
      printWatched(await watched.ask())
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** With a cage, a shell goes inside and becomes the program there. */
function commandOf({ cage, isTraced = false }: ApiProcessSettings): [program: string, args: string[]] {
  const args = [...(isTraced ? TRACE_ARGUMENTS : WATCH_ARGUMENTS), API_MAIN]
  if (cage === undefined) return [process.execPath, args]
  return ['/bin/sh', ['-c', 'echo $$ > "$0" && exec "$@"', cage, process.execPath, ...args]]
}

function printWatched({ loop, cpuSeconds }: Told): void {
  process.stdout.write(
    `  the API: event loop late by p50 ${asMs(loop.p50)}, p99 ${asMs(loop.p99)}, at most ${asMs(loop.max)}; ` +
      `${cpuSeconds.toFixed(1)} s of CPU\n`,
  )
}
