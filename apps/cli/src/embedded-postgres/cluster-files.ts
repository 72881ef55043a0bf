import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import { sendSignal } from '../processes/stop-process.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { type Launch, SERVER_ENVIRONMENT } from './server-account.ts'

const passwordsSchema = z.object({ postgres: z.string(), sluice: z.string(), sluice_worker: z.string() })
/** One password per role; `postgres` is the cluster's superuser. */
export type Passwords = z.infer<typeof passwordsSchema>

/** The files of one embedded cluster: `cluster/` is PostgreSQL's own, beside it lie what only we read. */
export function clusterPaths(dir: string): {
  cluster: string
  unfinished: string
  passwords: string
  port: string
  initPassword: string
} {
  return {
    cluster: join(dir, 'cluster'),
    unfinished: join(dir, 'cluster.unfinished'),
    passwords: join(dir, 'passwords.json'),
    port: join(dir, 'port'),
    initPassword: join(dir, 'init-password'),
  }
}

/** The cluster's passwords, drawn once (192 bits each, URL-safe) and kept in a file of mode 0600. */
export async function readOrDrawPasswords(path: string): Promise<Passwords> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text !== null) return passwordsSchema.parse(JSON.parse(text))
  const draw = () => randomBytes(24).toString('base64url')
  const passwords = { postgres: draw(), sluice: draw(), sluice_worker: draw() }
  await writeWhole(path, JSON.stringify(passwords))
  return passwords
}

export interface ClusterCreation {
  dir: string
  initdb: string
  launch: Launch
  superuserPassword: string
  onLog: (line: string) => void
  /** Ends initdb at once; what it made so far is thrown away at the next start. */
  signal?: AbortSignal | undefined
}

/** Makes the cluster when there is none. It is built beside its place and renamed, so a killed initdb leaves nothing half made. */
export async function createCluster({
  dir,
  initdb,
  launch,
  superuserPassword,
  onLog,
  signal,
}: ClusterCreation): Promise<void> {
  const paths = clusterPaths(dir)
  if ((await stat(join(paths.cluster, 'PG_VERSION')).catch(() => null)) !== null) return
  await rm(paths.unfinished, { recursive: true, force: true })
  await mkdir(paths.unfinished, { mode: 0o700 })
  await writeFile(paths.initPassword, superuserPassword, { mode: 0o600 })
  if (launch.account !== null) {
    for (const path of [paths.unfinished, paths.initPassword]) {
      chownSync(path, launch.account.uid, launch.account.gid)
    }
  }
  // The builtin locale provider needs no locale of the operating system and sorts the same everywhere.
  const args = [
    '--pgdata',
    paths.unfinished,
    '--username',
    'postgres',
    '--pwfile',
    paths.initPassword,
    '--auth',
    'scram-sha-256',
    '--encoding',
    'UTF8',
    '--locale',
    'C',
    '--locale-provider',
    'builtin',
    '--builtin-locale',
    'C.UTF-8',
  ]
  try {
    const [file = '', ...rest] = [...launch.prefix, initdb, ...args]
    const child = spawn(file, rest, {
      ...launch.spawnAs,
      cwd: paths.unfinished,
      env: { ...SERVER_ENVIRONMENT },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const abort = () => child.pid !== undefined && sendSignal(-child.pid, 'SIGKILL')
    signal?.addEventListener('abort', abort)
    const said: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => said.push(text))
    }
    const [code] = await once(child, 'close').finally(() => signal?.removeEventListener('abort', abort))
    for (const line of said.join('').split('\n')) if (line !== '') onLog(line)
    if (code !== 0) {
      throw new EmbeddedPostgresError(`initdb failed (exit ${code}) in ${dir}: ${said.join('').trim()}`)
    }
    await rmdir(paths.cluster).catch(() => {})
    await rename(paths.unfinished, paths.cluster)
  } finally {
    await rm(paths.initPassword, { force: true })
  }
}

/** The port this cluster used last when it is still free, else a new free one; kept in the dir, so that URLs live on across restarts. */
export async function choosePort(path: string): Promise<number> {
  const kept = Number(await readFile(path, 'utf8').catch(() => '0'))
  const port =
    (Number.isInteger(kept) && kept > 0 && kept < 65_536 ? await freePort(kept) : null) ?? (await freePort(0))
  if (port === null) throw new EmbeddedPostgresError('no free port on 127.0.0.1')
  await writeWhole(path, String(port))
  return port
}

/** `wanted` (0 = any) when it can be listened on at 127.0.0.1, else null. */
async function freePort(wanted: number): Promise<number | null> {
  const server = createServer()
  try {
    server.listen(wanted, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : null
  } catch {
    return null
  } finally {
    server.close()
  }
}

/** A reader sees the old file or the whole new one, mode 0600. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await chmod(`${path}.new`, 0o600)
  await rename(`${path}.new`, path)
}
