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
import { endBackends } from './take-over.ts'

const passwordsSchema = z.object({ postgres: z.string(), sluice: z.string(), sluice_worker: z.string() })
/** One password per role; `postgres` is the cluster's superuser. */
export type Passwords = z.infer<typeof passwordsSchema>

/** The files of one embedded cluster: `cluster/` belongs to PostgreSQL, the files beside it to us. */
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

/**
 * The cluster's passwords: 192 random bits each, URL-safe, generated at the first start and kept in a file of
 * mode 0600.
 */
export async function readOrCreatePasswords(path: string): Promise<Passwords> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text !== null) return passwordsSchema.parse(JSON.parse(text))
  const random = () => randomBytes(24).toString('base64url')
  const passwords = { postgres: random(), sluice: random(), sluice_worker: random() }
  await writeWhole(path, JSON.stringify(passwords))
  return passwords
}

export interface ClusterCreation {
  dir: string
  initdb: string
  launch: Launch
  superuserPassword: string
  onLog: (line: string) => void
  /** Ends initdb at once; what it made so far is deleted at the next start. */
  signal?: AbortSignal | undefined
}

/**
 * Makes the cluster when there is none. It is made beside its place and renamed, so that a killed initdb
 * leaves nothing half made. Throws EmbeddedPostgresError when initdb fails.
 */
export async function createCluster(creation: ClusterCreation): Promise<void> {
  const { dir, launch } = creation
  const paths = clusterPaths(dir)
  if ((await stat(join(paths.cluster, 'PG_VERSION')).catch(() => null)) !== null) return
  // An initdb outlives a supervisor that was killed, and would go on writing into our new folder.
  await endBackends(paths.unfinished, creation.onLog, creation.signal)
  await rm(paths.unfinished, { recursive: true, force: true })
  await mkdir(paths.unfinished, { mode: 0o700 })
  await writeFile(paths.initPassword, creation.superuserPassword, { mode: 0o600 })
  if (launch.account !== null) {
    const { uid, gid } = launch.account
    for (const path of [paths.unfinished, paths.initPassword]) chownSync(path, uid, gid)
  }
  try {
    await runInitdb(creation, paths)
    await rmdir(paths.cluster).catch(() => {})
    await rename(paths.unfinished, paths.cluster)
  } finally {
    await rm(paths.initPassword, { force: true })
  }
}

async function runInitdb(creation: ClusterCreation, paths: ReturnType<typeof clusterPaths>): Promise<void> {
  const { launch, onLog, signal } = creation
  const options = {
    pgdata: paths.unfinished,
    username: 'postgres',
    pwfile: paths.initPassword,
    auth: 'scram-sha-256',
    encoding: 'UTF8',
    // The builtin locale provider needs no locale of the operating system, and sorts the same everywhere.
    locale: 'C',
    'locale-provider': 'builtin',
    'builtin-locale': 'C.UTF-8',
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const [file = '', ...rest] = [...launch.prefix, creation.initdb, ...args]
  const child = spawn(file, rest, {
    ...launch.spawnAs,
    cwd: paths.unfinished,
    env: { ...SERVER_ENVIRONMENT },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const abort = () => child.pid !== undefined && sendSignal(-child.pid, 'SIGKILL')
  signal?.addEventListener('abort', abort)
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text))
  }
  const [code] = await once(child, 'close').finally(() => signal?.removeEventListener('abort', abort))
  const text = output.join('')
  for (const line of text.split('\n')) if (line !== '') onLog(line)
  if (code !== 0) {
    throw new EmbeddedPostgresError(`initdb failed (exit ${code}) in ${creation.dir}: ${text.trim()}`)
  }
}

/**
 * The port that this cluster used last if it is still free, else a new one. Kept in the dir, so that URLs
 * survive a restart.
 */
export async function choosePort(path: string): Promise<number> {
  const lastPort = Number(await readFile(path, 'utf8').catch(() => '0'))
  const port =
    (Number.isInteger(lastPort) && lastPort > 0 && lastPort < 65_536 ? await freePort(lastPort) : null) ??
    (await freePort(0))
  if (port === null) throw new EmbeddedPostgresError('no free port on 127.0.0.1')
  await writeWhole(path, String(port))
  return port
}

/** The port `wanted` (0 = any) if one can listen on it at 127.0.0.1, else null. */
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
